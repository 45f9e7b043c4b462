package smtpserver

import (
	"crypto/tls"
	"net"
)

// A Session is what is known of one client so far. Agents get it with every
// event and must not use it after Disconnect. Its methods are for the
// session's own goroutine, on which all agents and the Handler are called.
type Session struct{}

// ID is unique for this process and unlikely to come again in another.
func (s *Session) ID() string { return "" }

// Server is the server that the session belongs to.
func (s *Session) Server() *Server { return nil }

// RemoteAddr is the client's address: the claimed one where a trusted proxy
// made a claim (PROXY protocol, XCLIENT).
func (s *Session) RemoteAddr() net.Addr { return nil }

// LocalAddr is the address that the client connected to.
func (s *Session) LocalAddr() net.Addr { return nil }

// PeerAddr is the address at the other end of the connection itself, the
// proxy's where there is one.
func (s *Session) PeerAddr() net.Addr { return nil }

// Helo is the name that the client gave itself; empty before HELO or EHLO.
func (s *Session) Helo() string { return "" }

// Protocol is the word for the "with" clause of Received: SMTP, ESMTP,
// ESMTPS, ESMTPA, ESMTPSA, LMTP, LMTPS, ... and UTF8SMTP… (RFC 3848, 6531).
func (s *Session) Protocol() string { return "" }

// TLS is the state of the connection's encryption; nil for plain text.
func (s *Session) TLS() *tls.ConnectionState { return nil }

// Identity is who the client has proved to be; empty when it has not.
func (s *Session) Identity() string { return "" }

// SetIdentity records who the client is. An Authenticator's mechanisms call
// it; so may an agent that knows the client by other means.
func (s *Session) SetIdentity(name string) {}

// Message is the transaction in progress: envelope so far, nil outside one.
func (s *Session) Message() *Message { return nil }

// Value returns what an agent has left under key, and SetValue leaves it, for
// other agents and the Handler to find. As in package context, keys are of
// an unexported type of their package. Values live as long as the session.
func (s *Session) Value(key any) any { return nil }

// SetValue sets what Value returns.
func (s *Session) SetValue(key, value any) {}

// SetMaxMessageSize changes the size limit for this session, for clients
// that may send more or less than Limits.MessageSize. 0 means no limit.
func (s *Session) SetMaxMessageSize(n int64) {}
