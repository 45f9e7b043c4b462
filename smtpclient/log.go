package smtpclient

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/protolog"
)

// A ProtocolEvent is one thing that was said in a session. Its fields are
// Time, Connector, Session, Sequence, Local and Remote (endpoints), Kind ('+'
// connected, '-' disconnected, '>' sent, '<' received, '*' information), Data
// and Context. Neither credentials nor content of messages are ever in one.
type ProtocolEvent = protolog.Event

// A ProtocolLog takes the events of all sessions. Its method is called by many
// goroutines at once and holds the sessions up while it runs. The logs of
// package smtpserver are ProtocolLogs too, but their files say that they are of
// mail received.
type ProtocolLog interface {
	Log(ProtocolEvent)
}

// ProtocolLogFiles spreads a protocol log over files in a folder,
// SENDyyyymmdd-n.log, a new one each day (UTC) and whenever one is full:
//
//	log := smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{Dir: "/var/log/relay"})
//	defer log.Close()
//
// Dir must be set, and is made when it is not there. The other fields have
// defaults, Exchange's: Prefix of the names (SEND); MaxSize of one file in
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
	return protolog.New(w, "SMTP Send Protocol Log", "SEND")
}

// SlogProtocolLog sends the protocol log to a slog.Logger.
func SlogProtocolLog(l *slog.Logger, level slog.Level) ProtocolLog {
	return protolog.Slog{Logger: l, Level: level}
}

// sessionLog writes the protocol log of one session; nil writes none.
type sessionLog struct {
	to            ProtocolLog
	connector, id string
	local, remote string
	sequence      int
	closed        bool
}

func newSessionLog(to ProtocolLog, connector string, conn net.Conn) *sessionLog {
	if to == nil {
		return nil
	}
	l := &sessionLog{to: to, connector: connector, id: rand.Text()[:16]}
	if a := conn.LocalAddr(); a != nil {
		l.local = a.String()
	}
	if a := conn.RemoteAddr(); a != nil {
		l.remote = a.String()
	}
	l.event('+', "", "")
	return l
}

// logNoConnection says that a session did not come about: who reads the log
// because mail does not arrive would otherwise find nothing.
func logNoConnection(to ProtocolLog, connector, addr string, err error) {
	if to == nil {
		return
	}
	l := &sessionLog{to: to, connector: connector, id: rand.Text()[:16], remote: addr}
	l.event('*', "", "Failed to connect: "+err.Error())
}

func (l *sessionLog) event(kind byte, data, context string) {
	l.to.Log(ProtocolEvent{
		Time: time.Now(), Connector: l.connector, Session: l.id, Sequence: l.sequence,
		Local: l.local, Remote: l.remote, Kind: kind, Data: data, Context: context,
	})
	l.sequence++
}

// sent logs a command, with its line end, as it went out.
func (l *sessionLog) sent(command []byte) {
	if l != nil {
		l.line(string(bytes.TrimSuffix(command, crlf)))
	}
}

// line logs a command. What AUTH has to say stays out.
func (l *sessionLog) line(command string) {
	if l == nil {
		return
	}
	if len(command) > 4 && strings.EqualFold(command[:4], "AUTH") {
		if f := strings.Fields(command); len(f) > 2 {
			command = f[0] + " " + f[1] + " <redacted>"
		}
	}
	l.event('>', command, "")
}

var lf = []byte("\n")

// received logs a reply, an event for each of its lines.
func (l *sessionLog) received(r reply) {
	if l == nil {
		return
	}
	code := strconv.Itoa(r.code)
	text, more := r.text, true
	for more {
		var line []byte
		line, text, more = bytes.Cut(text, lf)
		mark := " "
		if more {
			mark = "-"
		}
		l.event('<', code+mark+string(line), "")
	}
}

// content logs that a message's content went out, and how long it was.
func (l *sessionLog) content(n int64) {
	if l != nil {
		l.event('*', "", "sent content of "+strconv.FormatInt(n, 10)+" octets")
	}
}

// secured logs what TLS was agreed on, and the host's certificate.
func (l *sessionLog) secured(s *tls.ConnectionState) {
	if l == nil {
		return
	}
	l.event('*', "", tls.VersionName(s.Version)+" "+tls.CipherSuiteName(s.CipherSuite))
	if len(s.PeerCertificates) == 0 {
		return
	}
	c := s.PeerCertificates[0]
	l.event('*', "", "Received certificate")
	l.event('*', c.Subject.String(), "Certificate subject")
	l.event('*', c.Issuer.String(), "Certificate issuer name")
	l.event('*', fmt.Sprintf("%X", c.SerialNumber), "Certificate serial number")
	l.event('*', fmt.Sprintf("%X", sha256.Sum256(c.Raw)), "Certificate thumbprint")
	l.event('*', strings.Join(c.DNSNames, ";"), "Certificate alternate names")
}

// failed logs why a session comes to its end.
func (l *sessionLog) failed(err error) {
	if l != nil && !l.closed {
		l.event('*', "", err.Error())
	}
}

func (l *sessionLog) close() {
	if l != nil && !l.closed {
		l.closed = true
		l.event('-', "", "Local")
	}
}
