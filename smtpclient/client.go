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
)

// A Client is one conversation with one host. It is not safe for concurrent
// use. The order of calls is that of the protocol:
//
//	Hello, StartTLS (which says hello again), Auth, Send ..., Quit
//
// An error in which errors.As finds a *smtp.SMTPError is the host's refusal and
// leaves the conversation usable, unless its code is 421; after any other it
// is closed. When a context ends, so does the conversation.
type Client struct {
	wire
	cfg     Config
	content contentWriter
	tx      transaction
	log     *sessionLog

	greeted  bool
	greeting string
	helo     string // the name that the host gave itself in reply to EHLO
	ext      map[string]string
	feat     features
	tls      *tls.ConnectionState
	verified bool        // the host's certificate proves that it is the right host
	prove    func() bool // finds that out when it matters; may be nil
	identity string      // who we authenticated as
	refused  refusedAuth // the mechanisms that the host does not take

	addr    string // the host's, for results
	tlsText string // the encryption, for results

	needReset bool // RSET before the next MAIL
	heard     bool // the host has replied during this delivery, other than 421
	renew     bool // the host may take on a new session what it refused on this one
	spent     bool // nothing else may be sent on this session
	chunks    bool // the host has taken a chunk
	mails     int  // MAIL commands that the host has accepted
	rcptLimit int  // learned from "too many recipients"
	closed    error

	opened  time.Time // for Transport: when the session began,
	carried int       // how many messages it carried,
	release func()    // and what to do when it ends
}

// A Config is what a Client needs to know beyond its connection. The zero
// value works.
type Config struct {
	Hostname  string // for EHLO; default os.Hostname
	LMTP      bool
	ForceHELO bool
	Timeouts  Timeouts
	// Host is the peer's name, for results and errors. Default: its address.
	Host string
	// MaxRecipients and Send8Bit as in Transport.
	MaxRecipients int
	Send8Bit      bool
	// ProtocolLog gets every line that is said; nil keeps none. Connector is
	// the send connector's name in it.
	ProtocolLog ProtocolLog
	Connector   string
}

// ErrClosed is the error of a conversation that was closed before.
var ErrClosed = errors.New("smtpclient: conversation is closed")

// NewClient starts a conversation over conn, which may be a *tls.Conn whose
// handshake is done. It belongs to the Client from now on. cfg may be nil.
func NewClient(conn net.Conn, cfg *Config) *Client {
	c := &Client{}
	if cfg != nil {
		c.cfg = *cfg
	}
	if a := conn.RemoteAddr(); a != nil {
		c.addr = a.String()
	}
	c.setConn(conn)
	c.log = newSessionLog(c.cfg.ProtocolLog, c.cfg.Connector, conn)
	if t, ok := conn.(*tls.Conn); ok && t.ConnectionState().HandshakeComplete {
		c.setTLS(t)
	}
	return c
}

// name is how the host is called in texts.
func (c *Client) name() string {
	if c.cfg.Host == "" {
		return c.addr
	}
	return c.cfg.Host
}

// proven says whether the certificate proves that the host is the right one.
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

// do runs one part of the conversation under ctx. When that fails for another
// reason than a reply, the connection is closed.
func (c *Client) do(ctx context.Context, part func() error) error {
	if c.closed != nil {
		return c.closed
	}
	end := c.begin(ctx)
	err := part()
	good := end()
	var refusal *smtp.SMTPError
	if err != nil && (!errors.As(err, &refusal) || refusal.Code == 421) || !good {
		if err != nil {
			c.log.failed(err)
		}
		c.Close()
	}
	return err
}

// command sends one line and reads the reply to it. A 4xx or 5xx is an error.
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

// Hello reads the greeting, where that was not done yet, and says EHLO, or
// HELO where EHLO is not understood; LHLO with LMTP.
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
		return fmt.Errorf("smtpclient: hostname %q is not one", name)
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
	// A host that has not learned EHLO says so with a 5xx: 500, 501, 502, 504,
	// or 550 from some firewalls (RFC 5321, 4.1.4).
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

// Command sends one line and returns the reply: VRFY, ETRN, ATRN, ... A 4xx or
// 5xx is an error too.
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

// Reset ends a transaction (RSET).
func (c *Client) Reset(ctx context.Context) error {
	_, err := c.Command(ctx, "RSET")
	if err == nil {
		c.needReset = false
	}
	return err
}

// Noop asks for a sign of life.
func (c *Client) Noop(ctx context.Context) error {
	_, err := c.Command(ctx, "NOOP")
	return err
}

// Quit says QUIT, waits a little for the reply, and closes.
func (c *Client) Quit(ctx context.Context) error {
	c.cfg.Timeouts.Hello = c.cfg.Timeouts.quit()
	_, err := c.Command(ctx, "QUIT")
	c.close(c.conn)
	return err
}

// leave says QUIT and closes without waiting for the reply.
func (c *Client) leave() {
	if c.closed == nil {
		c.log.line("QUIT")
		c.ctx = context.Background()
		c.out = append(c.out[:0], "QUIT\r\n"...)
		if err := c.flush(c.cfg.Timeouts.quit()); err != nil {
			c.Close() // it was a courtesy
		}
		c.close(c.conn)
	}
}

// Close closes the connection at once.
func (c *Client) Close() error { return c.close(c.raw) }

// close closes conn, which is either raw or, to say goodbye in TLS too, what
// lies above it.
func (c *Client) close(conn net.Conn) error {
	if c.closed != nil {
		return nil
	}
	c.closed = ErrClosed
	c.log.close()
	err := conn.Close()
	if c.release != nil {
		c.release()
	}
	return err
}

// Detach gives the connection up, with what was read of it but not used yet
// put back: after ATRN or TURN it is served (smtpserver), not spoken to.
func (c *Client) Detach() net.Conn {
	c.closed = ErrClosed
	if c.release != nil {
		c.release() // it is counted no more
	}
	c.raw.SetDeadline(noDeadline)
	return &detached{Conn: c.conn, read: c.buf[c.r:c.w]}
}

// detached is a connection of which something was read already.
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

// Greeting is the text of the 220 line.
func (c *Client) Greeting() string { return c.greeting }

// TLS is the state of the encryption; nil for plain text.
func (c *Client) TLS() *tls.ConnectionState { return c.tls }

// RemoteAddr is the host's address.
func (c *Client) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }
