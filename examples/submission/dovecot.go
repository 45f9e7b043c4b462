package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A dovecot is an Authenticator that asks a Dovecot server, by the auth client protocol
// (doc.dovecot.org, "Dovecot Authentication Protocol"). Dovecot runs the mechanism, so
// each mechanism that it offers works, except those that log in without a password.
//
// Each exchange has its own connection.
type dovecot struct {
	socket string
	log    *slog.Logger

	mu         sync.Mutex // guards the fields below; held while Dovecot is asked
	mechanisms []string
	asked      time.Time
}

const (
	dovecotFresh   = time.Minute      // the age up to which the list of mechanisms is used
	dovecotConnect = 5 * time.Second  // for the connection and the handshake
	dovecotAnswer  = 45 * time.Second // Dovecot delays the answer to a wrong password by up to 15 s
	dovecotLine    = 16 << 10         // bytes
)

// Mechanisms implements smtpserver.Authenticator. While Dovecot does not answer, it
// returns the previous list, so that clients get a temporary error at AUTH.
func (d *dovecot) Mechanisms(*smtpserver.Session) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.asked.IsZero() && time.Since(d.asked) < dovecotFresh {
		return d.mechanisms
	}
	c, err := d.dial(context.Background())
	if err == nil {
		c.conn.Close()
		d.mechanisms, d.asked = c.mechanisms, time.Now()
		return d.mechanisms
	}
	d.log.Error("Dovecot does not answer, no user can log in", "socket", d.socket, "error", err)
	if len(d.mechanisms) == 0 {
		d.mechanisms = []string{sasl.Plain, sasl.Login}
	}
	d.asked = time.Now().Add(dovecotConnect - dovecotFresh) // ask again soon
	return d.mechanisms
}

// Start implements smtpserver.Authenticator.
func (d *dovecot) Start(ctx context.Context, s *smtpserver.Session, mechanism string) (sasl.Server, error) {
	if old, ok := s.Value(exchangeKey{}).(*exchange); ok {
		old.conn.Close() // the client has given it up
	}
	c, err := d.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: dovecot: %w", errAuthDown, err)
	}
	x := &exchange{dovecotConn: c, s: s, user: s.SetIdentity, mechanism: mechanism}
	x.stop = context.AfterFunc(ctx, func() { c.conn.Close() })
	s.SetValue(exchangeKey{}, x)
	return x, nil
}

// A dovecotConn is a connection after the handshake.
type dovecotConn struct {
	conn       net.Conn
	in         *bufio.Reader
	mechanisms []string
}

// dial connects, and reads the handshake.
func (d *dovecot) dial(ctx context.Context) (*dovecotConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dovecotConnect)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", d.socket)
	if err != nil {
		return nil, err
	}
	c := &dovecotConn{conn: conn, in: bufio.NewReaderSize(conn, dovecotLine)}
	conn.SetDeadline(time.Now().Add(dovecotConnect))
	if err := c.handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *dovecotConn) handshake() error {
	// Dovecot requires that the IDs of open connections differ. Most clients send the
	// number of their process; here one process has many connections.
	if _, err := fmt.Fprintf(c.conn, "VERSION\t1\t1\nCPID\t%d\n", 1+rand.Int32N(1<<31-1)); err != nil {
		return err
	}
	version := ""
	for range 1000 {
		f, err := c.read()
		if err != nil {
			return err
		}
		switch {
		case f[0] == "VERSION" && len(f) > 1:
			version = f[1]
		case f[0] == "MECH" && len(f) > 1 && mayOffer(f[1], f[2:]):
			c.mechanisms = append(c.mechanisms, f[1])
		case f[0] == "DONE" && version != "1":
			return fmt.Errorf("version %q of the protocol, want 1", version)
		case f[0] == "DONE" && len(c.mechanisms) == 0:
			return errors.New("it offers no mechanism")
		case f[0] == "DONE":
			return nil
		}
	}
	return errors.New("the handshake does not end")
}

// mayOffer reports whether a mechanism is offered to clients. ANONYMOUS would let in
// everyone; EXTERNAL and channel bindings need the TLS session, which Dovecot does not
// have.
func mayOffer(name string, flags []string) bool {
	return !slices.Contains(flags, "anonymous") && !slices.Contains(flags, "private") &&
		name != "ANONYMOUS" && name != "EXTERNAL" && !strings.HasSuffix(name, "-PLUS")
}

// read reads a line and returns its fields, at least one.
func (c *dovecotConn) read() ([]string, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(line), "\n"), "\t"), nil
}

// An exchange is a login. It implements sasl.Server.
type exchange struct {
	*dovecotConn
	s         *smtpserver.Session
	user      func(name string) // is called with the user of a success
	mechanism string
	stop      func() bool
	begun     bool
}

type exchangeKey struct{}

// Next implements sasl.Server.
func (x *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	x.conn.SetDeadline(time.Now().Add(dovecotAnswer))
	if challenge, done, err = x.next(response); done || err != nil {
		x.stop()
		x.conn.Close()
	}
	return challenge, done, err
}

func (x *exchange) next(response []byte) (challenge []byte, done bool, err error) {
	line := "CONT\t1\t" + base64.StdEncoding.EncodeToString(response)
	if !x.begun {
		x.begun = true
		line = x.first(response)
	}
	if _, err := x.conn.Write([]byte(line + "\n")); err != nil {
		return nil, true, fmt.Errorf("%w: dovecot: %w", errAuthDown, err)
	}
	return x.answer()
}

// answer reads the answer to a line.
func (x *exchange) answer() (challenge []byte, done bool, err error) {
	for {
		f, err := x.read()
		if err != nil {
			return nil, true, fmt.Errorf("%w: dovecot: %w", errAuthDown, err)
		}
		if len(f) < 2 || f[1] != "1" {
			continue // CUID and similar lines
		}
		switch f[0] {
		case "CONT":
			challenge, err := base64.StdEncoding.DecodeString(strings.Join(f[2:], ""))
			if err != nil {
				return nil, true, fmt.Errorf("%w: dovecot: %w", errAuthDown, err)
			}
			return challenge, false, nil
		case "OK":
			return nil, true, x.accept(f[2:])
		case "FAIL":
			return nil, true, refusal(f[2:])
		}
	}
}

// first returns the line that begins the exchange. The response must be its last
// parameter.
func (x *exchange) first(response []byte) string {
	line := "AUTH\t1\t" + x.mechanism + "\tservice=smtp"
	if x.s.TLS() != nil {
		line += "\tsecured"
	}
	line += endpoint("l", x.s.LocalAddr()) + endpoint("r", x.s.RemoteAddr())
	if response != nil {
		line += "\tresp=" + base64.StdEncoding.EncodeToString(response)
	}
	return line
}

// endpoint returns the parameters lip and lport, or rip and rport.
func endpoint(prefix string, addr net.Addr) string {
	a, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return "" // a proxy did not give it
	}
	return "\t" + prefix + "ip=" + a.Addr().Unmap().WithZone("").String() + "\t" + prefix + "port=" + strconv.Itoa(int(a.Port()))
}

// accept reads the parameters of a success.
func (x *exchange) accept(parameters []string) error {
	user := ""
	for _, p := range parameters {
		if v, ok := strings.CutPrefix(p, "user="); ok {
			user = v
		}
	}
	switch {
	case user == "" || strings.Contains(user, "\x01"): // \x01 escapes control characters
		return fmt.Errorf("dovecot: the login has no valid user name: %w", smtp.ErrAuthFailed)
	case slices.Contains(parameters, "nologin") && !slices.Contains(parameters, "proxy"):
		return fmt.Errorf("dovecot: the user may not log in: %w", smtp.ErrAuthFailed)
	}
	x.user(user)
	return nil
}

// refusal returns the error for the parameters of a failure.
func refusal(parameters []string) error {
	if slices.Contains(parameters, "temp") || slices.Contains(parameters, "code=temp_fail") {
		return fmt.Errorf("%w: dovecot: a temporary failure", errAuthDown)
	}
	return smtp.ErrAuthFailed
}
