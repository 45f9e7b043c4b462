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

// A ProtocolEvent is one event of a session in the protocol log. It contains no
// credentials and no message content.
//
//	type ProtocolEvent struct {
//		Time          time.Time
//		Connector     string // the name of the connector
//		Session       string // the ID of the session
//		Sequence      int    // the number of the event in the session, from 0
//		Local, Remote string // the addresses and ports of this end and of the other end
//		Kind          byte   // '+' connected, '-' disconnected, '>' sent, '<' received, '*' information
//		Data          string // the line that was sent or received
//		Context       string // a description of the event
//	}
type ProtocolEvent = protolog.Event

// A ProtocolLog receives the events of all sessions. Many goroutines call Log
// at the same time, and each session waits until Log returns.
type ProtocolLog interface {
	Log(ProtocolEvent)
}

// ProtocolLogFiles writes a protocol log to files in a directory. The files are
// named RECVyyyymmdd-n.log. A new file starts each day (UTC) and when a file is
// full.
//
//	log := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: "/var/log/relay"})
//	defer log.Close()
//
//	type ProtocolLogFiles struct {
//		Dir     string        // required; created if it does not exist
//		Prefix  string        // of the file names; default "RECV"
//		Suffix  string        // of the file names; default ".log"
//		Header  string        // the first lines of each file; default: a description of the columns
//		HeaderAt func(now time.Time) string // the same for a file that begins now, if Header is empty
//		Private bool          // prevents the owner's group from reading the files
//		MaxSize int64         // of one file, in bytes; default 10 MB
//		MaxAge  time.Duration // after which a file is removed; default 30 days
//		MaxDir  int64         // of all files except the current one, in bytes; default 250 MB
//	}
//
// If the files are larger than MaxDir, the oldest ones are removed. The defaults
// are those of Exchange.
//
// If the disk becomes full, no file ends with an incomplete line.
type ProtocolLogFiles = protolog.Files

// ProtocolLogWriter is a ProtocolLog in the format of Exchange (comma-separated
// values), or in that of NewW3CProtocolLog. Its methods are Log, Flush and Close. It buffers lines for up to a
// second; if the process is killed, the buffered lines are lost. Flush and
// Close write the buffered lines. If a write fails, for example because the
// disk is full, the lines are lost and the server continues. The Writer then
// logs an error to its Logger (default: that of the gateway.Gateway whose
// Closers have it), and the next Flush returns the error; Close does not. When
// the log can be written again, the Writer logs that, and a line that begins
// with "#Dropped:" ("#Remark:" in the W3C format) has the number of the lost lines.
type ProtocolLogWriter = protolog.Writer

// NewProtocolLog returns a ProtocolLog that writes to w. Its Close closes w if
// w is an io.Closer.
func NewProtocolLog(w io.Writer) *ProtocolLogWriter {
	return protolog.New(w, "SMTP Receive Protocol Log", "RECV")
}

// NewW3CProtocolLog returns a ProtocolLog that writes to w in the W3C extended log
// file format, with the columns of the SMTP service of IIS 6. Each command and its
// final reply are one line; cs-username is the HELO name, and time-taken is in
// milliseconds. A space in a column is written as "+", and "+", "%" and
// everything that is not printable ASCII as %XX. computer is s-computername; if
// it is empty, the name of the machine. Close closes w if w is an io.Closer. The
// names of ProtocolLogFiles begin with "ex", as those of IIS do.
func NewW3CProtocolLog(w io.Writer, computer string) *ProtocolLogWriter {
	return protolog.NewW3C(w, "ex", computer, true)
}

// SlogProtocolLog returns a ProtocolLog that writes to a slog.Logger.
func SlogProtocolLog(l *slog.Logger, level slog.Level) ProtocolLog {
	return protolog.Slog{Logger: l, Level: level}
}

// LogProtocol adds an information line ('*') to the protocol log of the
// session. data and context are two columns of the log. Agents use it to log
// their decisions. Exchange, for example, logs the rights of a client with the
// context "Set Session Permissions".
func (s *Session) LogProtocol(data, context string) {
	if s.traced() {
		s.event('*', data, context)
	}
}

// traced reports whether event has something to do: for the protocol log, or for
// Server.Watch and Server.KeepDialogue.
func (s *Session) traced() bool { return s.srv.ProtocolLog != nil || s.entry.Watched() }

func (s *Session) event(kind byte, data, context string) {
	if s.ends == nil {
		s.ends = &endpoints{s.local.String(), s.remote.String()}
	}
	e := ProtocolEvent{
		Time: time.Now(), Connector: s.srv.name(), Session: s.entry.ID(), Sequence: s.sequence,
		Local: s.ends.local, Remote: s.ends.remote, Kind: kind, Data: data, Context: context,
	}
	s.sequence++
	if s.srv.ProtocolLog != nil {
		s.srv.ProtocolLog.Log(e)
	}
	if s.entry.Watched() {
		s.entry.Publish(e)
	}
}

// endpoints are the addresses of a session as text.
type endpoints struct{ local, remote string }

// trace logs a line that was sent or received.
func (s *Session) trace(kind byte, line []byte) {
	if s.traced() {
		s.event(kind, string(line), "")
	}
}

// traceCommand logs a command. Credentials must not get into the log, so the
// argument of AUTH is left out. After an AUTH command every line that is not a
// known command is left out too, because it may be a response that the client
// sent although AUTH was refused. The names of clients are encoded, see
// Session.Helo.
func (s *Session) traceCommand(verb, line []byte, arg string) {
	isAuth := string(verb) == "AUTH"
	s.authTried = s.authTried || isAuth
	if !s.traced() {
		return
	}
	_, known := commands[string(verb)]
	switch {
	case verb == nil:
		line = []byte("<not a command>")
	case string(verb) == "HELO", string(verb) == "EHLO", string(verb) == "LHLO":
		line = []byte(string(verb) + " " + addr.SafeHelo(arg))
	case isAuth:
		line = redactAuth(line)
	case !known && s.authTried:
		line = []byte("<redacted>")
	}
	s.trace('<', line)
}

// redactAuth returns an AUTH command without credentials. A client that leaves out
// the name of the mechanism sends its response in the place of the name.
func redactAuth(line []byte) []byte {
	f := bytes.Fields(line)
	switch {
	case len(f) < 2:
		return line
	case !isMechanism(string(f[1])):
		return []byte("AUTH <redacted>")
	case len(f) > 2:
		return fmt.Appendf(nil, "AUTH %s <redacted>", f[1])
	}
	return line
}

// mechanisms are the names that are in use (IANA, "SASL Mechanisms"). Whether a name
// is one cannot be told from its form (RFC 4422, 3.1): a password may have it too.
var mechanisms = map[string]bool{
	"PLAIN": true, "LOGIN": true, "CRAM-MD5": true, "DIGEST-MD5": true, "NTLM": true, "GSSAPI": true, "GSS-SPNEGO": true,
	"EXTERNAL": true, "ANONYMOUS": true, "XOAUTH2": true, "OAUTHBEARER": true, "SCRAM-SHA-1": true, "SCRAM-SHA-1-PLUS": true,
	"SCRAM-SHA-256": true, "SCRAM-SHA-256-PLUS": true, "SCRAM-SHA-512": true, "SCRAM-SHA-512-PLUS": true,
}

func isMechanism(name string) bool { return mechanisms[strings.ToUpper(name)] }

func (s *Session) traceInfo(context string) {
	if s.traced() {
		s.event('*', "", context)
	}
}

func (s *Session) traceConnect() {
	if s.traced() {
		s.event('+', "", "")
	}
}

func (s *Session) traceDisconnect(err error) {
	if !s.traced() {
		return
	}
	context := "Local"
	if errors.Is(err, io.EOF) || errors.Is(err, errQuit) {
		context = "Remote"
	}
	s.event('-', "", context)
}

// traceTLS logs the TLS version, the cipher suite and the certificates, as
// Exchange does.
func (s *Session) traceTLS() {
	if !s.traced() {
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
