package program

import (
	"cmp"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The values of -protocol-log.
const (
	exchangeLog = "exchange"
	w3cLog      = "w3c"
	noLog       = "none"
)

// logs is the folder of the logs.
func (s *Settings) logs() string { return cmp.Or(s.Logs, filepath.Join(s.State, "logs")) }

// protocolLogs returns the logs of received and of sent mail; nil for no logs.
func (s *Settings) protocolLogs() (received *smtpserver.ProtocolLogWriter, sent *smtpclient.ProtocolLogWriter) {
	files := func(prefix string) *smtpserver.ProtocolLogFiles {
		return &smtpserver.ProtocolLogFiles{Dir: s.logs(), Prefix: prefix, MaxAge: s.LogAge, MaxDir: int64(s.LogSize)}
	}
	switch s.ProtocolLog {
	case w3cLog:
		return smtpserver.NewW3CProtocolLog(files("ex"), s.Hostname), smtpclient.NewW3CProtocolLog(files("exsend"), s.Hostname)
	case noLog:
		return nil, nil
	}
	return smtpserver.NewProtocolLog(files("RECV")), smtpclient.NewProtocolLog(files("SEND"))
}

// tracking returns the tracking log.
func (s *Settings) tracking() *tracking.Log {
	return &tracking.Log{Dir: filepath.Join(s.logs(), "tracking"), NoSubject: !s.Subjects, MaxAge: s.LogAge, MaxDir: int64(s.LogSize)}
}

// checkLogs reports a folder of logs that cannot be written. It is below -spool or -state by default.
func (k *Kit) checkLogs() {
	setting := "logs"
	if k.Logs == "" {
		setting = k.state
	}
	if err := k.tracking().Validate(); err != nil && !k.faulty(setting) {
		k.Fault(setting, errors.New(strings.TrimPrefix(err.Error(), "log: Dir ")))
	}
}

// logClosers returns the protocol logs, which the relay closes at its end.
func (p *parts) logClosers() (all []io.Closer) {
	if p.received != nil {
		all = append(all, p.received)
	}
	if p.sent != nil {
		all = append(all, p.sent)
	}
	return all
}
