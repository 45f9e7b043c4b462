package smtpserver

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Session is what is known of one client so far. Agents get it with every
// event and must not use it after Disconnect. Its methods are for the
// session's own goroutine, on which all agents and the Handler are called.
type Session struct {
	srv *Server
	lim *Limits
	ctx context.Context
	id  string

	cancel context.CancelFunc

	netConn net.Conn // as it was accepted
	conn    net.Conn // the same, or the TLS one over it
	in      input
	out     []byte // replies not yet sent, in outBuf unless they outgrew it
	outBuf  *[outputSize]byte

	remote, local net.Addr   // as claimed by a trusted proxy, if one did
	remoteIP      netip.Addr // of remote; invalid where it has none
	peerIP        netip.Addr // of the connection itself
	frontIP       netip.Addr // of the client, until XCLIENT speaks for another
	counted       netip.Addr // as admitted, for the limits by address

	state   state
	helo    heloName
	esmtp   bool // greeted with EHLO or LHLO
	begun   bool // agents have heard Connect, and not Disconnect
	fronted bool // XCLIENT has told of another client

	tls      *tls.ConnectionState
	oldTLS   bool // of tls, see isOldTLS
	identity string
	values   map[any]any
	asking   string // the agent that is being asked, for the log of a panic

	// The transaction.
	msg        *Message
	intake     *intake           // what comes in with DATA or BDAT
	params     map[string]string // of the command in hand, for agents
	rcpt       *Recipient        // that of RCPT, while the agents are asked
	accepted   int               // recipients, as the client knows them
	handed     bool              // the Handler has the message
	discarding bool
	refusedTo  bool // a recipient was refused
	excused    int  // errors since MAIL that do not count

	mailRefused      bool // MAIL was refused, and only what follows it has come since
	errorsBeforeMail int

	discardAll bool
	lfOnly     bool // bare LF ends lines, and has ended all so far; see Server.BareLFFrom

	allowance
	atConnect allowance // what it was when the client was let in

	started       time.Time
	readDeadline  time.Time
	writeDeadline time.Time
	mu            sync.Mutex // guards waiting and interrupted; see await
	waiting       bool       // for a command: Shutdown may interrupt
	interrupted   bool       // by Shutdown, since the session began to wait

	messages     int
	bytes        int64
	errors       int
	unknown      int
	authFailures int
	sequence     int        // of the protocol log
	ends         *endpoints // local and remote as text, for the protocol log; nil when not asked for yet
	authTried    bool
}

// allowance is what agents may change for a session.
type allowance struct {
	bare    BareBytes
	maxSize int64
}

// ID is unique for this process and unlikely to come again in another.
func (s *Session) ID() string { return s.id }

// Server is the server that the session belongs to.
func (s *Session) Server() *Server { return s.srv }

// Hostname is the name that the server goes by: Server.Hostname or its
// default.
func (s *Session) Hostname() string { return s.srv.hostname }

// Connector is Server.Name or its default.
func (s *Session) Connector() string { return s.srv.name() }

// RemoteAddr is the client's address: the claimed one where a trusted proxy
// made a claim (PROXY protocol, XCLIENT). Where the proxy gave no address that
// can be used, it is one whose Network and String are "unknown": such a client
// has no rights by an address, and the limits by address count all such clients
// as one.
func (s *Session) RemoteAddr() net.Addr { return s.remote }

// LocalAddr is the address that the client connected to.
func (s *Session) LocalAddr() net.Addr { return s.local }

// PeerAddr is the address at the other end of the connection itself, the
// proxy's where there is one.
func (s *Session) PeerAddr() net.Addr { return s.netConn.RemoteAddr() }

// Helo is the name that the client gave itself, in a form that can be written
// anywhere; empty before HELO or EHLO. It is the name as received where that is
// a host name or an address literal. In other names, as devices have them,
// octets other than letters, digits and "-._~:/$" are written as in a URL:
// "my%20printer". It has at most 255 octets.
func (s *Session) Helo() string { return s.helo.safe }

// RawHelo is the name that the client gave itself as it was received, for those
// who judge it. It may have any characters but controls, is not always UTF-8,
// and must not be written where they mean something.
func (s *Session) RawHelo() string { return s.helo.received }

// Protocol is the word for the "with" clause of Received: SMTP, ESMTP,
// ESMTPS, ESMTPA, ESMTPSA, LMTP, LMTPS, ... and UTF8SMTP… (RFC 3848, 6531).
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

// TLS is the state of the connection's encryption; nil for plain text.
func (s *Session) TLS() *tls.ConnectionState { return s.tls }

// Identity is who the client has proved to be; empty when it has not.
func (s *Session) Identity() string { return s.identity }

// SetIdentity records who the client is. An Authenticator's mechanisms call
// it; so may an agent that knows the client by other means.
func (s *Session) SetIdentity(name string) { s.identity = name }

// Message is the transaction in progress: envelope so far, nil outside one.
func (s *Session) Message() *Message { return s.msg }

// Params are the parameters of the MAIL or RCPT command in hand that an
// Agent's MailParams or RcptParams asked for, by their names in upper case.
func (s *Session) Params() map[string]string { return s.params }

// Value returns what an agent has left under key, and SetValue leaves it, for
// other agents and the Handler to find. As in package context, keys are of
// an unexported type of their package. Values live as long as the session, or
// until XCLIENT begins another client's.
func (s *Session) Value(key any) any { return s.values[key] }

// SetValue sets what Value returns.
func (s *Session) SetValue(key, value any) {
	if s.values == nil {
		s.values = make(map[any]any)
	}
	s.values[key] = value
}

// SetMaxMessageSize changes the size limit for this session, for clients
// that may send more or less than Limits.MessageSize. 0 means no limit.
func (s *Session) SetMaxMessageSize(n int64) {
	if n <= 0 {
		n = noLimit
	}
	s.maxSize = n
}

// SetBareBytes sets, for this session, what the server does with messages that
// contain bare CR, bare LF or NUL (Server.BareBytes).
func (s *Session) SetBareBytes(b BareBytes) { s.bare = b }
