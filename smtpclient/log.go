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
	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// A ProtocolEvent is one event of a session. It never contains credentials or the
// content of messages.
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

// A ProtocolLog records the events of all sessions. Many goroutines call Log at
// the same time, and the session waits until it returns. The protocol logs of
// package smtpserver implement ProtocolLog too. But the header of their files
// says that the log is about received mail.
type ProtocolLog interface {
	Log(ProtocolEvent)
}

// ProtocolLogFiles writes a protocol log to files SENDyyyymmdd-n.log in a
// folder. It begins a new file each day (UTC) and when a file is full:
//
//	log := smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{Dir: "/var/log/relay"})
//	defer log.Close()
//
//	type ProtocolLogFiles struct {
//		Dir     string        // required; created if it does not exist
//		Prefix  string        // of the file names; default "SEND"
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
// If the disk is full, a file still contains its header and only whole lines.
type ProtocolLogFiles = protolog.Files

// ProtocolLogWriter is a ProtocolLog in Exchange's format (comma-separated
// values) or in that of NewW3CProtocolLog, with the methods Log, Flush and Close. It buffers lines for up to one
// second; buffered lines are lost if the process is killed. Flush and Close
// write them. Lines that cannot be written, for example because the disk is
// full, are lost without an effect on mail. The Writer then logs an error to
// its Logger, and Flush returns the error. The default Logger is that of the
// gateway.Gateway that has the Writer in its Closers. When the log can be
// written again, a line that begins with "#Dropped:" ("#Remark:" in the W3C
// format) has the number of lines lost before it.
type ProtocolLogWriter = protolog.Writer

// NewProtocolLog returns a ProtocolLog that writes to w. Close closes w if it is
// an io.Closer.
func NewProtocolLog(w io.Writer) *ProtocolLogWriter {
	return protolog.New(w, "SMTP Send Protocol Log", "SEND")
}

// NewW3CProtocolLog returns a ProtocolLog that writes to w in the W3C extended log
// file format, with the columns of the SMTP service of IIS 6. Each command and
// each line of a reply is one line: cs-username is OutboundConnectionCommand or
// OutboundConnectionResponse, c-ip is the other host, and cs-uri-query has the
// argument or the reply. A space in a column is written as "+", and "+", "%" and
// everything that is not printable ASCII as %XX. computer is s-computername; if
// it is empty, the name of the machine. Close closes w if w is an io.Closer. The
// names of ProtocolLogFiles begin with "exsend".
func NewW3CProtocolLog(w io.Writer, computer string) *ProtocolLogWriter {
	return protolog.NewW3C(w, "exsend", computer, false)
}

// SlogProtocolLog returns a ProtocolLog that writes to a slog.Logger.
func SlogProtocolLog(l *slog.Logger, level slog.Level) ProtocolLog {
	return protolog.Slog{Logger: l, Level: level}
}

// sessionLog writes the dialogue of one session to the protocol log and to
// Transport.Watch; nil writes none.
type sessionLog struct {
	to            ProtocolLog // may be nil
	mon           *monitor    // may be nil
	connector, id string
	local, remote string
	sequence      int
	closed        bool
}

func newSessionLog(to ProtocolLog, mon *monitor, connector, id string, conn net.Conn) *sessionLog {
	if to == nil && mon == nil {
		return nil
	}
	l := &sessionLog{to: to, mon: mon, connector: connector, id: id}
	if a := conn.LocalAddr(); a != nil {
		l.local = a.String()
	}
	if a := conn.RemoteAddr(); a != nil {
		l.remote = a.String()
	}
	if l.on() {
		l.event('+', "", "")
	}
	return l
}

// on reports whether event has something to do.
func (l *sessionLog) on() bool {
	return l != nil && (l.to != nil || l.watched())
}

func (l *sessionLog) watched() bool { return l.mon != nil && l.mon.entry.Watched() }

// logNoConnection logs that a connection failed, so that the protocol log and
// those who watch see why mail does not arrive.
func (t *Transport) logNoConnection(connector string, tg *target, err error) {
	if t.ProtocolLog == nil && !t.live.Watched() {
		return
	}
	e := ProtocolEvent{Time: time.Now(), Connector: connector, Session: sessionID(), Remote: tg.addr,
		Kind: '*', Context: "Failed to connect: " + err.Error()}
	if t.ProtocolLog != nil {
		t.ProtocolLog.Log(e)
	}
	t.live.PublishOther(e, tg.ip)
}

// sessionID returns an ID that is unique in this process, and very probably
// unique among all processes.
func sessionID() string { return rand.Text()[:16] }

func (l *sessionLog) event(kind byte, data, context string) {
	e := ProtocolEvent{
		Time: time.Now(), Connector: l.connector, Session: l.id, Sequence: l.sequence,
		Local: l.local, Remote: l.remote, Kind: kind, Data: data, Context: context,
	}
	l.sequence++
	if l.to != nil {
		l.to.Log(e)
	}
	if l.watched() {
		l.mon.entry.Publish(e)
	}
}

// sent logs a command that ends with CRLF.
func (l *sessionLog) sent(command []byte) {
	if l.on() {
		l.line(string(bytes.TrimSuffix(command, crlf)))
	}
}

// line logs a command. It replaces the initial response of AUTH by "<redacted>".
func (l *sessionLog) line(command string) {
	if !l.on() {
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

// received logs a reply, with one event for each line.
func (l *sessionLog) received(r reply) {
	if !l.on() {
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

// content logs that the content of a message was sent, and its size.
func (l *sessionLog) content(n int64) {
	if l.on() {
		l.event('*', "", "sent content of "+strconv.FormatInt(n, 10)+" octets")
	}
}

// secured logs the TLS version and cipher suite, and the host's certificate.
func (l *sessionLog) secured(s *tls.ConnectionState) {
	if !l.on() {
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

// failed logs the error that ends a session.
func (l *sessionLog) failed(err error) {
	if l.on() && !l.closed {
		l.event('*', "", err.Error())
	}
}

func (l *sessionLog) close() {
	if l != nil && !l.closed {
		l.closed = true
		if l.on() {
			l.event('-', "", "Local")
		}
	}
}

// logTLS logs what protects a session, and why.
func (t *Transport) logTLS(dst *Destination, tg *target, c *Client, s *security) {
	log := site.Debug(t.Logger, site.PartTLS)
	if log == nil {
		return
	}
	attrs := []any{slog.String("connector", t.connector(dst)), slog.String("host", tg.host.Name), slog.String("addr", tg.addr), slog.String("policy", s.policy)}
	if c.tls == nil {
		log.Debug("no TLS", attrs...)
		return
	}
	log.Debug("TLS", append(attrs, slog.String("version", tls.VersionName(c.tls.Version)), slog.String("cipher", tls.CipherSuiteName(c.tls.CipherSuite)),
		slog.String("verified", proofs[s.proof(c)]), slog.Bool("resumed", c.tls.DidResume))...)
}
