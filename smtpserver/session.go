package smtpserver

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// A Session contains what the server knows about one connected client. Agents
// get it with every event, and must not use it after Disconnect. Only the
// goroutine of the session may call its methods; the server calls all agents
// and the Handler on that goroutine.
type Session struct {
	srv *Server
	lim *Limits
	ctx context.Context

	cancel context.CancelFunc

	netConn net.Conn // as it was accepted
	conn    net.Conn // the same, or the TLS one over it
	in      input
	out     []byte // replies not yet sent, in outBuf unless they outgrew it
	outBuf  *[outputSize]byte

	remote, local net.Addr   // as a trusted proxy gave them, if there is one
	remoteIP      netip.Addr // of remote; invalid if it has none
	peerIP        netip.Addr // of the connection itself
	frontIP       netip.Addr // of the client before XCLIENT
	counted       netip.Addr // as admitted, for the limits by address

	entry live.Entry // for Server.Sessions and Server.Watch

	helo    heloName
	esmtp   bool // greeted with EHLO or LHLO
	dsn     bool // the client may use DSN parameters, as of its last greeting
	begun   bool // Connect was called, Disconnect was not
	xclient bool // XCLIENT has given another client
	proxied bool // remote is from a proxy or from XCLIENT
	oldTLS  bool // of tls, see isOldTLS
	state   state

	tls      *tls.ConnectionState
	identity string
	values   map[any]any

	// The transaction.
	msg        *Message
	intake     *intake           // receives the content of DATA or BDAT
	params     map[string]string // of the current command, for agents
	rcpt       *Recipient        // of the current RCPT, for agents
	path       string            // that the current MAIL or RCPT names, for Observe
	adding     bool              // RCPT runs
	accepted   int               // recipients that the client knows to be accepted
	handled    bool              // the Handler has the message
	discarding bool
	refusedTo  bool // a recipient was refused
	uncounted  int  // errors since MAIL that do not count

	mailRefused      bool // MAIL was refused, and only commands that follow MAIL have come since
	errorsBeforeMail int

	discardAll bool
	discardBy  string // the agent that has discarded the current message, or all messages
	lfOnly     bool   // a bare LF ends lines, and has ended all lines so far; see Server.BareLFFrom

	allowance
	atConnect allowance // its value after Connect

	started       time.Time
	readDeadline  time.Time
	writeDeadline time.Time
	hasPlace      bool          // it counts for Limits.Connections
	credit        time.Duration // for movement, of the input since the last wait
	tooSlow       bool          // makeRoom has ended the last wait

	mu          sync.Mutex // guards the following fields; see await
	wait        movement
	interrupted bool          // by Shutdown, makeRoom or EndSession, while the session waits
	complete    bool          // see beginComplete
	cut         bool          // cutOff has closed the connection
	wakePause   chan struct{} // of the current pause, see endable

	messages     int
	bytes        int64
	errors       int
	unknown      int
	authFailures int
	sequence     int        // of the protocol log
	ends         *endpoints // local and remote as text, for the protocol log; nil until needed
	authTried    bool
	ending       atomic.Bool // Server.EndSession was called
}

// allowance contains the settings that agents may change for a session.
type allowance struct {
	bare    BareBytes
	maxSize int64
	noDSN   bool
}

// ID returns the ID of the session. It is unique in this process, and very
// probably unique among all processes.
func (s *Session) ID() string { return s.entry.ID() }

// Server returns the server of the session.
func (s *Session) Server() *Server { return s.srv }

// Hostname returns Server.Hostname or its default.
func (s *Session) Hostname() string { return s.srv.hostname }

// Connector returns Server.Name or its default.
func (s *Session) Connector() string { return s.srv.name() }

// RemoteAddr returns the address of the client. Behind a trusted proxy it is
// the address that the proxy gave (PROXY protocol, XCLIENT). If the proxy gave
// no usable address, Network and String of the result are "unknown". Do not
// give such a client rights that depend on its address. The limits by address
// count all such clients as one.
func (s *Session) RemoteAddr() net.Addr { return s.remote }

// LocalAddr returns the address that the client connected to.
func (s *Session) LocalAddr() net.Addr { return s.local }

// PeerAddr returns the remote address of the connection itself, which is that
// of the proxy if there is one.
func (s *Session) PeerAddr() net.Addr { return s.netConn.RemoteAddr() }

// Helo returns the name that the client gave at HELO, EHLO or LHLO, in a form
// that is safe to write to headers and logs. It is empty before the greeting. A
// host name or an address literal is returned as received. In other names, all
// octets except letters, digits and "-._~:/$" are percent-encoded as in a URL:
// "my%20printer". The result has at most 255 octets.
func (s *Session) Helo() string { return s.helo.safe }

// RawHelo returns the name that the client gave at HELO, EHLO or LHLO, as
// received. Use RawHelo to check the name, and Helo to write the name to logs
// and headers. The name contains no control characters except tabs. It may be
// invalid UTF-8.
func (s *Session) RawHelo() string { return s.helo.received }

// Protocol returns the keyword for the "with" clause of a Received field: SMTP,
// ESMTP, ESMTPS, ESMTPA, ESMTPSA, LMTP, LMTPS, ... (RFC 3848) and UTF8SMTP, ...
// (RFC 6531).
func (s *Session) Protocol() string {
	i := 0
	if s.tls != nil {
		i |= 1
	}
	if s.identity != "" {
		i |= 2
	}
	utf8 := s.msg != nil && s.msg.Options.UTF8
	switch {
	case s.srv.LMTP && utf8:
		return [...]string{"UTF8LMTP", "UTF8LMTPS", "UTF8LMTPA", "UTF8LMTPSA"}[i]
	case s.srv.LMTP:
		return [...]string{"LMTP", "LMTPS", "LMTPA", "LMTPSA"}[i]
	case utf8:
		return [...]string{"UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA"}[i]
	case s.esmtp:
		return [...]string{"ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA"}[i]
	}
	return "SMTP"
}

// TLS returns the state of the TLS connection, or nil without TLS.
func (s *Session) TLS() *tls.ConnectionState { return s.tls }

// Identity returns the authenticated identity of the client. It is empty if the
// client has not authenticated.
func (s *Session) Identity() string { return s.identity }

// SetIdentity sets the identity of the client. The mechanisms of an
// Authenticator call it. An agent may call it too, if it identifies the client
// in another way.
func (s *Session) SetIdentity(name string) { s.identity = name }

// Message returns the current transaction with its envelope so far, or nil
// outside a transaction.
func (s *Session) Message() *Message { return s.msg }

// Params returns the parameters of the current MAIL or RCPT command that are
// listed in an Agent's MailParams or RcptParams. The keys are in upper case.
func (s *Session) Params() map[string]string { return s.params }

// Value returns the value that SetValue stored for key, or nil. Agents and the
// Handler use it to share values. As in package context, a key should have an
// unexported type of its own package. XCLIENT removes all values.
func (s *Session) Value(key any) any { return s.values[key] }

// SetValue stores a value for key. Value returns it.
func (s *Session) SetValue(key, value any) {
	if s.values == nil {
		s.values = make(map[any]any)
	}
	s.values[key] = value
}

// SetMaxMessageSize sets the largest size of a message in bytes for this
// session, in place of Limits.MessageSize. 0 means no limit. A message can
// never be larger than the ContentBudget.
func (s *Session) SetMaxMessageSize(n int64) {
	if n <= 0 {
		n = noLimit
	}
	s.maxSize = min(n, s.srv.content.max())
}

// SetBareBytes selects, for this session, whether the server refuses or repairs
// messages that contain bare CR, bare LF or NUL. It replaces Server.BareBytes.
func (s *Session) SetBareBytes(b BareBytes) { s.bare = b }

// SetDSN selects, for this session, whether the server announces the DSN
// extension and accepts its parameters. Without it, the parameters get 555
// 5.5.4. Call it at Connect or Helo: later calls have no effect before the next
// greeting. Default: true, if the server has ExtDSN.
func (s *Session) SetDSN(offer bool) { s.noDSN = !offer }

// AuthOffered reports whether the server offers AUTH to the client now: whether
// the reply to EHLO contains AUTH.
func (s *Session) AuthOffered() bool { return len(s.mechanisms()) > 0 }

// offers reports whether the client may use an extension.
func (s *Session) offers(e Extension) bool {
	return s.srv.has(e) && (e != ExtDSN || s.dsn)
}
