package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// A Client is one session with one host. It is not safe for concurrent use. The
// calls must follow the order of the protocol:
//
//	Hello, StartTLS (which sends EHLO again), Auth, Send ..., Quit
//
// If an error is or wraps a *smtp.SMTPError, the host refused the command, and
// the session remains usable unless the code is 421. Any other error closes the
// session. The end of a context closes it too.
type Client struct {
	wire
	cfg     Config
	content contentWriter
	tx      transaction
	log     *sessionLog

	greeted  bool
	greeting string
	helo     string // the host's name in its reply to EHLO
	ext      map[string]string
	feat     features
	tls      *tls.ConnectionState
	verified bool        // the host's certificate proves that it is the right host
	prove    func() bool // verifies the certificate when that is needed; may be nil
	identity string      // the identity of the Authenticator after AUTH
	refused  refusedAuth // the mechanisms that the host refused

	addr    string // the host's address, for results
	tlsText string // the encryption, for results

	needReset bool  // send RSET before the next MAIL
	replied   bool  // the host has sent a reply other than 421 during this delivery
	renew     bool  // the host may accept on a new session what it refused on this one
	unusable  bool  // nothing else may be sent on this session
	chunks    bool  // the host has accepted a chunk
	mails     int   // MAIL commands that the host has accepted
	rcptLimit int   // learned from a "too many recipients" reply
	closed    error // ErrClosed after the end of the session

	// For Transport.
	key       sessionKey
	opened    time.Time // when the session began
	carried   int       // the messages that the session has carried
	requested bool      // Transport.RequestMail was sent
	release   func()    // called at the end of the session; may be nil
}

// A Config has the settings of a Client. The zero value works.
type Config struct {
	// Hostname is the name that the client sends in EHLO, HELO and LHLO.
	// Default os.Hostname, or "localhost" if that fails.
	Hostname string
	// LMTP uses LMTP (RFC 2033) instead of SMTP.
	LMTP bool
	// ForceHELO sends HELO instead of EHLO, so no extension is used.
	ForceHELO bool
	// Timeouts of the phases of the session.
	Timeouts Timeouts
	// Host is the host's name, for results and errors. Default: its address.
	Host string
	// MaxRecipients is as in Transport.
	MaxRecipients int
	// Send8Bit is as in Transport.
	Send8Bit bool
	// ProtocolLog receives each command and reply; nil logs nothing.
	ProtocolLog ProtocolLog
	// Connector is the send connector's name in ProtocolLog.
	Connector string
}

var errNoDestination = errors.New("smtpclient: the Destination is nil")

// ErrClosed is the error of a call on a session that is closed.
var ErrClosed = errors.New("smtpclient: session is closed")

// NewClient returns a Client on conn, which may be a *tls.Conn after its
// handshake and must not be nil. The Client owns conn. NewClient sends nothing. cfg
// may be nil.
func NewClient(conn net.Conn, cfg *Config) *Client { return newClient(conn, nil, cfg) }

// newClient is NewClient for a session of a Transport, if t is not nil.
func newClient(conn net.Conn, t *Transport, cfg *Config) *Client {
	c := &Client{}
	if cfg != nil {
		c.cfg = *cfg
	}
	if a := conn.RemoteAddr(); a != nil {
		c.addr = a.String()
	}
	c.setConn(conn)
	id := ""
	if t != nil || c.cfg.ProtocolLog != nil {
		id = sessionID()
	}
	if t != nil {
		c.watchedBy(t, conn, id)
	}
	c.log = newSessionLog(c.cfg.ProtocolLog, c.mon, c.cfg.Connector, id, conn)
	if t, ok := conn.(*tls.Conn); ok && t.ConnectionState().HandshakeComplete {
		c.setTLS(t)
	}
	return c
}

// name returns the host's name for texts: Config.Host, or its address.
func (c *Client) name() string {
	if c.cfg.Host == "" {
		return c.addr
	}
	return c.cfg.Host
}

// proven reports whether the certificate proves that the host is the right one.
func (c *Client) proven() bool {
	if !c.verified && c.prove != nil {
		c.verified, c.prove = c.prove(), nil
	}
	return c.verified
}

func (c *Client) maxRecipients() int {
	n := or(c.cfg.MaxRecipients, 100)
	for _, limit := range [...]int{c.rcptLimit, c.feat.rcptMax} {
		if limit > 0 {
			n = min(n, limit)
		}
	}
	return n
}

// do runs one part of the session under ctx. It closes the connection if part
// fails for another reason than a reply of the host, or if ctx ends.
func (c *Client) do(ctx context.Context, part func() error) error {
	if c.closed != nil {
		return c.closed
	}
	c.begin(ctx)
	err := part()
	good := c.end()
	var refusal *smtp.SMTPError
	if err != nil && (!errors.As(err, &refusal) || refusal.Code == 421) || !good {
		if err != nil {
			c.log.failed(err)
		}
		c.Close()
	}
	return err
}

// command sends one line and reads the reply. A reply 4xx or 5xx is an error.
func (c *Client) command(phase, line string) (reply, error) {
	c.out = append(append(c.out[:0], line...), '\r', '\n')
	if err := checkCommand(c.out); err != nil {
		return reply{}, err
	}
	c.log.line(line)
	d := c.cfg.Timeouts.hello()
	if err := c.flush(d); err != nil {
		return reply{}, fmt.Errorf("%s: %w", phase, err)
	}
	r, err := c.readReply(phase, d)
	if err != nil {
		return r, err
	}
	c.log.received(r)
	if r.transient() || r.permanent() {
		return r, r.smtpError()
	}
	return r, nil
}

// Hello reads the greeting if that was not done yet, and sends EHLO. If the
// host does not know EHLO, Hello sends HELO. With LMTP it sends LHLO.
func (c *Client) Hello(ctx context.Context) error { return c.do(ctx, c.hello) }

func (c *Client) hello() error {
	if !c.greeted {
		r, err := c.readReply("greeting", c.cfg.Timeouts.greeting())
		if err != nil {
			return err
		}
		c.log.received(r)
		if !r.ok() {
			if r.transient() || r.permanent() {
				return r.smtpError()
			}
			return unexpected("greeting", r)
		}
		c.greeting, c.greeted = printable(r.text), true
	}
	name := c.cfg.Hostname
	if name == "" {
		name = osHostname()
	}
	if strings.ContainsAny(name, " ") {
		return fmt.Errorf("smtpclient: hostname %q contains a space", name)
	}
	c.setExtensions(reply{})
	verb := "EHLO"
	switch {
	case c.cfg.LMTP:
		verb = "LHLO"
	case c.cfg.ForceHELO:
		verb = "HELO"
	}
	r, err := c.command(verb, verb+" "+name)
	// A host that does not know EHLO replies 500, 501, 502 or 504, and some
	// firewalls reply 550 (RFC 5321, 4.1.4).
	if verb == "EHLO" && err != nil && r.permanent() && r.code != 554 && r.code != 521 {
		verb = "HELO"
		r, err = c.command(verb, verb+" "+name)
	}
	if err != nil {
		return err
	}
	if !r.ok() {
		return unexpected(verb, r)
	}
	if verb != "HELO" {
		c.setExtensions(r)
	}
	return nil
}

func osHostname() string {
	if h, err := os.Hostname(); err == nil && h != "" {
		return h
	}
	return "localhost"
}

// Command sends one command line, such as VRFY, ETRN or ATRN, and returns the
// reply. line has no CRLF. A reply 4xx or 5xx is returned and is also an error,
// a *smtp.SMTPError. A line with a control character is an error and is not
// sent.
func (c *Client) Command(ctx context.Context, line string) (Reply, error) {
	if err := checkCommand([]byte(line + "\r\n")); err != nil {
		return Reply{}, fmt.Errorf("smtpclient: %w", err)
	}
	var p Reply
	err := c.do(ctx, func() error {
		phase, _, _ := strings.Cut(line, " ")
		r, err := c.command(phase, line)
		if r.code != 0 {
			p = r.public()
		}
		return err
	})
	return p, err
}

// Reset sends RSET, which aborts the transaction.
func (c *Client) Reset(ctx context.Context) error {
	_, err := c.Command(ctx, "RSET")
	if err == nil {
		c.needReset = false
	}
	return err
}

// Noop sends NOOP. It returns nil if the host replies 2xx.
func (c *Client) Noop(ctx context.Context) error {
	_, err := c.Command(ctx, "NOOP")
	return err
}

// Quit sends QUIT, waits for the reply for at most Timeouts.Quit, and closes
// the connection.
func (c *Client) Quit(ctx context.Context) error {
	c.cfg.Timeouts.Hello = c.cfg.Timeouts.quit()
	_, err := c.Command(ctx, "QUIT")
	c.close(c.conn)
	return err
}

// leave sends QUIT and closes the connection without waiting for the reply.
func (c *Client) leave() {
	if c.closed == nil {
		c.mon.show(live.StateQuit, func(*live.Details) {})
		c.log.line("QUIT")
		c.ctx, c.bounds = context.Background(), bounds{}
		c.out = append(c.out[:0], "QUIT\r\n"...)
		if err := c.flush(c.cfg.Timeouts.quit()); err != nil {
			c.Close() // QUIT is optional
		}
		c.close(c.conn)
	}
}

// Close closes the connection at once, without QUIT.
func (c *Client) Close() error { return c.close(c.raw) }

// close closes conn, which is c.raw, or c.conn to end TLS properly.
func (c *Client) close(conn net.Conn) error {
	if c.closed != nil {
		return nil
	}
	c.closed = ErrClosed
	c.log.close()
	err := conn.Close()
	c.mon.close()
	if c.release != nil {
		c.release()
	}
	return err
}

// Detach returns the connection and ends the Client without closing it. The
// returned connection first returns the bytes that the Client has read but not
// used. Use Detach after ATRN or TURN, when the roles change and package
// smtpserver serves the connection.
func (c *Client) Detach() net.Conn {
	c.closed = ErrClosed
	c.mon.close()
	if c.release != nil {
		c.release() // the connection no longer counts
	}
	c.raw.SetDeadline(noDeadline)
	return &detached{Conn: c.conn, read: c.buf[c.r:c.w]}
}

// detached is a connection from which some bytes were already read.
type detached struct {
	net.Conn
	read []byte
}

func (d *detached) Read(p []byte) (int, error) {
	if len(d.read) == 0 {
		return d.Conn.Read(p)
	}
	n := copy(p, d.read)
	d.read = d.read[n:]
	return n, nil
}

// Greeting returns the text of the host's greeting (220), without the code.
func (c *Client) Greeting() string { return c.greeting }

// TLS returns the state of the TLS connection, or nil for plain text.
func (c *Client) TLS() *tls.ConnectionState { return c.tls }

// RemoteAddr returns the host's address.
func (c *Client) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }
