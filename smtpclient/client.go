package smtpclient

import (
	"context"
	"crypto/tls"
	"net"
)

// A Client is one conversation with one host. It is not safe for concurrent
// use. The order of calls is that of the protocol:
//
//	Hello, StartTLS (which says hello again), Auth, Send ..., Quit
//
// An error in which errors.As finds a *smtp.SMTPError is the host's refusal and
// leaves the conversation usable; after any other it is closed. When a
// context ends, so does the conversation.
type Client struct{}

// A Config is what a Client needs to know beyond its connection. The zero
// value works.
type Config struct {
	Hostname  string // for EHLO; default os.Hostname
	LMTP      bool
	ForceHELO bool
	Timeouts  Timeouts
	// Host is the peer's name, for results and errors.
	Host string
	// MaxRecipients as in Transport.
	MaxRecipients int
}

// NewClient starts a conversation over conn, which may be a *tls.Conn. It
// belongs to the Client from now on. cfg may be nil.
func NewClient(conn net.Conn, cfg *Config) *Client { return nil }

// Hello reads the greeting, where that was not done yet, and says EHLO, or
// HELO where EHLO is not understood; LHLO with LMTP.
func (c *Client) Hello(ctx context.Context) error { return nil }

// StartTLS negotiates TLS and says hello again. What config verifies is the
// caller's matter; an empty ServerName becomes Config.Host.
func (c *Client) StartTLS(ctx context.Context, config *tls.Config) error { return nil }

// Auth authenticates. It does so without TLS too when a says so.
func (c *Client) Auth(ctx context.Context, a Authenticator) error { return nil }

// Send sends one message and returns one result for each of its recipients.
func (c *Client) Send(ctx context.Context, m *Message) []Result { return nil }

// Command sends one line and returns the reply: VRFY, ETRN, ATRN, ... The
// reply is an error (*smtp.SMTPError) unless its code is 2xx or 3xx.
func (c *Client) Command(ctx context.Context, line string) (Reply, error) { return Reply{}, nil }

// Reset ends a transaction (RSET).
func (c *Client) Reset(ctx context.Context) error { return nil }

// Noop asks for a sign of life.
func (c *Client) Noop(ctx context.Context) error { return nil }

// Quit says QUIT and closes.
func (c *Client) Quit(ctx context.Context) error { return nil }

// Close closes the connection at once.
func (c *Client) Close() error { return nil }

// Detach gives the connection up, with what was read of it but not used yet
// put back: after ATRN or TURN it is served (smtpserver), not spoken to.
func (c *Client) Detach() net.Conn { return nil }

// Greeting is the text of the 220 line.
func (c *Client) Greeting() string { return "" }

// Extension tells whether the host announced keyword, and its parameters.
func (c *Client) Extension(keyword string) (params string, ok bool) { return "", false }

// Extensions are all announced keywords, in upper case, with their parameters.
func (c *Client) Extensions() map[string]string { return nil }

// TLS is the state of the encryption; nil for plain text.
func (c *Client) TLS() *tls.ConnectionState { return nil }

// RemoteAddr is the host's address.
func (c *Client) RemoteAddr() net.Addr { return nil }

// A Reply is a host's reply: its code and its lines without code.
type Reply struct {
	Code  int
	Lines []string
}
