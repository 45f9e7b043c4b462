package smtpserver

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/protolog"
)

// A ProtocolEvent is one thing that was said in a session. Its fields are
// Time, Connector, Session, Sequence, Local and Remote (endpoints), Kind ('+'
// connected, '-' disconnected, '>' sent, '<' received, '*' information), Data
// and Context. Neither credentials nor content of messages are ever in one.
type ProtocolEvent = protolog.Event

// A ProtocolLog takes the events of all sessions. Its method is called by many
// goroutines at once and holds the sessions up while it runs.
type ProtocolLog interface {
	Log(ProtocolEvent)
}

// ProtocolLogFiles spreads a protocol log over files in a folder,
// RECVyyyymmdd-n.log, a new one each day (UTC) and whenever one is full:
//
//	log := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: "/var/log/relay"})
//	defer log.Close()
//
// Dir must be set, and is made when it is not there. The other fields have
// defaults, Exchange's: Prefix of the names (RECV); MaxSize of one file in
// bytes (10 MB); MaxAge, after which a file is removed (30 days); MaxDir, the
// bytes of all files but the present one, beyond which the oldest are removed
// (250 MB); Suffix of the names (.log); Private, which keeps the owner's group
// from reading them (false). A file on a full disk keeps whole lines and its
// header.
type ProtocolLogFiles = protolog.Files

// ProtocolLogWriter is a ProtocolLog in Exchange's format, comma-separated
// values, with the methods Log, Flush and Close. Lines are gathered for up to a
// second, and those are missing when the process is killed; Flush and Close
// write what is there. What cannot be written (a full disk) is lost, and mail
// goes on: Flush and Close tell of it.
type ProtocolLogWriter = protolog.Writer

// NewProtocolLog writes a protocol log to w, which is closed by Close if it is
// an io.Closer.
func NewProtocolLog(w io.Writer) *ProtocolLogWriter {
	header := protolog.Header("SMTP Receive Protocol Log")
	if f, ok := w.(*ProtocolLogFiles); ok {
		if f.Header == "" {
			f.Header = header
		}
		if f.Prefix == "" {
			f.Prefix = "RECV"
		}
		header = ""
	}
	return protolog.NewWriter(w, header)
}

// SlogProtocolLog sends the protocol log to a slog.Logger.
func SlogProtocolLog(l *slog.Logger, level slog.Level) ProtocolLog {
	return protolog.Slog{Logger: l, Level: level}
}

// Trace adds a line of information to the session's protocol log, for agents
// that decide something about the session ("Set Session Permissions").
func (s *Session) Trace(data, context string) {
	if s.srv.ProtocolLog != nil {
		s.event('*', data, context)
	}
}

func (s *Session) event(kind byte, data, context string) {
	if s.ends == nil {
		s.ends = &endpoints{s.local.String(), s.remote.String()}
	}
	s.srv.ProtocolLog.Log(ProtocolEvent{
		Time: time.Now(), Connector: s.srv.name(), Session: s.id, Sequence: s.sequence,
		Local: s.ends.local, Remote: s.ends.remote, Kind: kind, Data: data, Context: context,
	})
	s.sequence++
}

// endpoints are a session's addresses as they stand in each of its events.
type endpoints struct{ local, remote string }

// trace logs a line that was sent or received.
func (s *Session) trace(kind byte, line []byte) {
	if s.srv.ProtocolLog != nil {
		s.event(kind, string(line), "")
	}
}

// traceCommand logs a command. Credentials must not get into the log by any
// way: the argument of AUTH is left out, and so is, once AUTH was tried, every
// line that is no known command, since it may be a response that the client
// sent although AUTH was refused. The names of clients are in their safe form.
func (s *Session) traceCommand(verb, line []byte, arg string) {
	isAuth := string(verb) == "AUTH"
	s.authTried = s.authTried || isAuth
	if s.srv.ProtocolLog == nil {
		return
	}
	_, known := commands[string(verb)]
	switch {
	case verb == nil:
		line = []byte("<not a command>")
	case string(verb) == "HELO", string(verb) == "EHLO", string(verb) == "LHLO":
		line = []byte(string(verb) + " " + addr.SafeHelo(arg))
	case isAuth:
		if f := bytes.Fields(line); len(f) > 2 {
			line = fmt.Appendf(nil, "AUTH %s <redacted>", f[1])
		}
	case !known && s.authTried:
		line = []byte("<redacted>")
	}
	s.trace('<', line)
}

func (s *Session) traceInfo(context string) {
	if s.srv.ProtocolLog != nil {
		s.event('*', "", context)
	}
}

func (s *Session) traceConnect() {
	if s.srv.ProtocolLog != nil {
		s.event('+', "", "")
	}
}

func (s *Session) traceDisconnect(err error) {
	if s.srv.ProtocolLog == nil {
		return
	}
	context := "Local"
	if errors.Is(err, io.EOF) || errors.Is(err, errQuit) {
		context = "Remote"
	}
	s.event('-', "", context)
}

// traceTLS logs what was agreed on and the certificates, as Exchange does.
func (s *Session) traceTLS() {
	if s.srv.ProtocolLog == nil {
		return
	}
	s.traceInfo(tls.VersionName(s.tls.Version) + " " + tls.CipherSuiteName(s.tls.CipherSuite))
	if own := s.srv.TLSConfig.Certificates; len(own) == 1 && own[0].Leaf != nil {
		s.traceCertificate("Sent certificate", own[0].Leaf)
	}
	if theirs := s.tls.PeerCertificates; len(theirs) > 0 {
		s.traceCertificate("Received certificate", theirs[0])
	}
}

func (s *Session) traceCertificate(what string, c *x509.Certificate) {
	s.event('*', "", what)
	s.event('*', c.Subject.String(), "Certificate subject")
	s.event('*', c.Issuer.String(), "Certificate issuer name")
	s.event('*', fmt.Sprintf("%X", c.SerialNumber), "Certificate serial number")
	s.event('*', fmt.Sprintf("%X", sha256.Sum256(c.Raw)), "Certificate thumbprint")
	s.event('*', strings.Join(c.DNSNames, ";"), "Certificate alternate names")
}
