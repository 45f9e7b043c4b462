package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/emersion/go-smtp"
)

// hostError is the error of one address of a host.
type hostError struct {
	host, addr string
	err        error
	full       bool // the address accepts no more connections
	excluded   bool // by a policy: the address was not tried
}

func (e *hostError) Error() string { return fmt.Sprintf("%s (%s): %v", e.host, e.addr, e.err) }
func (e *hostError) Unwrap() error { return e.err }

// open opens a session with one address: connection, greeting, EHLO, TLS as the
// policy requires, authentication. A Client that is returned with an error is
// closed; it shows which of these steps were done. The caller has already
// counted the connection.
func (t *Transport) open(ctx context.Context, dst *Destination, tg *target, b bounds) (*Client, error) {
	c, err := t.secured(ctx, dst, tg, b)
	var noConn *dialError
	if errors.As(err, &noConn) && ctx.Err() == nil && !b.over(time.Now()) && t.endIdle(tg.addr) {
		// The host is gone, or accepts no more connections. The idle sessions
		// were no evidence that it works, and took the room of this one.
		c, err = t.secured(ctx, dst, tg, b)
	}
	if err != nil {
		evident := ctx.Err() == nil && !b.over(time.Now()) && !errors.Is(err, errEnded) // the failure is the host's
		full := t.conns.failed(tg.addr, evident && refusedConnection(c, err), time.Now())
		if evident && !full {
			t.markDown(dst, tg, c, err)
		}
		err = &hostError{host: tg.host.Name, addr: tg.addr, err: err, full: full}
		t.log(t.connector(dst), "cannot open session", tg.host.Name, tg.addr, err)
		return c, err
	}
	t.conns.opened(tg.addr, time.Now())
	c.key = t.sessionKey(dst, tg)
	c.release = func() { t.conns.closed(tg.addr, time.Now()) }
	t.down.remove(downKey{addr: tg.addr}, downKey{tg.addr, t.key(dst)})
	if t.Logger != nil {
		t.Logger.Debug("session open", "connector", t.connector(dst), "host", tg.host.Name, "addr", tg.addr, "tls", c.tlsText)
	}
	return c, nil
}

// endIdle ends the idle sessions with an address. It reports whether there were
// any, and none is left in use.
func (t *Transport) endIdle(addr string) bool {
	some := false
	for c := t.pool.evict(addr); c != nil; c = t.pool.evict(addr) {
		c.leave()
		some = true
	}
	return some && !t.conns.inUse(addr)
}

// session connects to an address and negotiates.
func (t *Transport) session(ctx context.Context, dst *Destination, tg *target, s *security, b bounds) (*Client, error) {
	conn, err := t.dial(ctx, tg, b)
	if err != nil {
		t.logNoConnection(t.connector(dst), tg, err)
		return nil, err
	}
	c := newClient(conn, t, &Config{
		Hostname: or(t.Hostname, dst.Hostname), LMTP: t.LMTP, ForceHELO: t.ForceHELO,
		Timeouts: t.Timeouts, Host: tg.host.Name, MaxRecipients: t.MaxRecipients, Send8Bit: t.Send8Bit,
		ProtocolLog: t.ProtocolLog, Connector: t.connector(dst),
	})
	c.addr, c.opened, c.refused, c.bounds = tg.addr, time.Now(), s.refused, b
	err = c.do(ctx, func() error {
		err := t.negotiate(ctx, dst, tg, c, s)
		if _, ours := err.(*TLSError); ours {
			c.leave() // the host did nothing wrong: end the session properly
		}
		return err
	})
	t.countSession(c, s, err)
	if err != nil {
		c.leave()
	}
	return c, err
}

// countSession counts a session that was opened, or has failed with err.
func (t *Transport) countSession(c *Client, s *security, err error) {
	var ours *TLSError
	var broken *tlsFailure
	switch {
	case err == nil:
		t.counters.sessions.Add(1)
		t.counters.tls[s.proof(c)].Add(1)
		c.mon.idle(0)
		return
	case errors.Is(err, errEnded):
	case errors.As(err, &ours), errors.As(err, &broken):
		t.counters.tlsFailed.Add(1)
	}
	t.counters.failed.Add(1)
}

// negotiate prepares a new connection for MAIL: greeting, EHLO, TLS and AUTH.
func (t *Transport) negotiate(ctx context.Context, dst *Destination, tg *target, c *Client, s *security) error {
	if !t.ImplicitTLS || s.never {
		if err := c.hello(); err != nil {
			return err
		}
	}
	if c.tls == nil && !s.never {
		if err := t.protect(dst, tg, c, s); err != nil {
			return err
		}
	}
	t.logTLS(dst, tg, c, s)
	if c.tls != nil {
		c.verified = s.proves
		if prove := s.prove; !c.verified && prove != nil {
			c.prove = func() bool { return prove(c.tls) == nil }
		}
	}
	a := t.auth(dst)
	if a == nil {
		return nil
	}
	switch {
	case t.AllowInsecureAuth:
	case c.tls == nil:
		return &TLSError{Policy: s.policy, Host: c.name(), Err: errAuthPlain}
	case usesOldTLS(c.tls) && !t.AllowOldTLSAuth:
		return &TLSError{Policy: s.policy, Host: c.name(), Err: errAuthOldTLS}
	}
	return c.auth(ctx, a)
}

var errAuthPlain = errors.New("no authentication without TLS (see AllowInsecureAuth)")

var errSTARTTLSRefused = errors.New("STARTTLS was refused")

// protect negotiates TLS, sends EHLO in it and reports the result to TLSReport.
// If the host does not offer TLS and the policy does not require it, the session
// stays in plain text.
func (t *Transport) protect(dst *Destination, tg *target, c *Client, s *security) error {
	err := t.upgrade(dst, tg, c, s)
	var hello error
	if err == nil && c.tls != nil {
		hello = c.hello()
		var protocol *ProtocolError
		if hello != nil && !isReply(hello) && !errors.As(hello, &protocol) {
			err = &tlsFailure{hello, tlsLate}
		}
	}
	if !errors.Is(err, errEnded) {
		t.report(dst, tg, s, c, err)
	}
	if err != nil {
		return err
	}
	return hello
}

// upgrade negotiates TLS if the host offers it. It fails if the policy requires
// TLS and the host does not offer it.
func (t *Transport) upgrade(dst *Destination, tg *target, c *Client, s *security) error {
	if t.ImplicitTLS {
		if err := c.handshake(t.tlsConfig(dst, tg, s)); err != nil {
			return &tlsFailure{err, tlsBroken}
		}
		return nil
	}
	_, offered := c.ext["STARTTLS"]
	if !offered {
		if s.must {
			return s.fail(&tg.host, nil, errNoSTARTTLS)
		}
		return nil
	}
	err := c.startTLS(t.tlsConfig(dst, tg, s))
	var refusal *smtp.SMTPError
	var protocol *ProtocolError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errHandshake):
		return &tlsFailure{err, tlsBroken}
	case errors.As(err, &protocol):
		return &tlsFailure{err, tlsOdd}
	case !errors.As(err, &refusal) || refusal.Code == 421:
		return &tlsFailure{err, tlsClosed}
	case s.must:
		return s.fail(&tg.host, nil, fmt.Errorf("%w: %w", errSTARTTLSRefused, err))
	}
	return nil
}

// dial connects to one address.
func (t *Transport) dial(ctx context.Context, tg *target, b bounds) (net.Conn, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, b.deadline(time.Now(), t.Timeouts.connect()), errConnectTimeout)
	defer cancel()
	var conn net.Conn
	var err error
	start := time.Now()
	if t.DialContext != nil {
		conn, err = t.DialContext(ctx, tg.network, tg.addr)
	} else {
		d := &net.Dialer{LocalAddr: t.localAddr(tg.ip)}
		conn, err = d.DialContext(ctx, tg.network, tg.addr)
	}
	t.counters.durations[stageConnect].Observe(int64(time.Since(start)))
	if err != nil {
		if context.Cause(ctx) == errConnectTimeout {
			err = errConnectTimeout
		}
		t.counters.connects[connectResult(err)].Add(1)
		return nil, &dialError{err}
	}
	t.counters.connects[connectOK].Add(1)
	return conn, nil
}

// dialError is the failure to connect.
type dialError struct{ err error }

func (e *dialError) Error() string { return "connect: " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

var errConnectTimeout = errors.New("timed out")

// localAddr returns the local address for a connection to remote, or nil to let
// the system choose.
func (t *Transport) localAddr(remote netip.Addr) net.Addr {
	for _, a := range t.LocalAddrs {
		if remote.IsValid() && a.Unmap().Is4() == remote.Unmap().Is4() {
			return &net.TCPAddr{IP: a.AsSlice(), Zone: a.Zone()}
		}
	}
	return nil
}

// Dial opens a session with the first reachable host of dst. It tries the
// hosts, negotiates TLS and authenticates, as Send does. The caller owns the
// Client and must close it; the Transport does not use it for other mail.
func (t *Transport) Dial(ctx context.Context, dst *Destination) (*Client, error) {
	if dst == nil {
		return nil, errNoDestination
	}
	targets, errs, err := t.targets(ctx, dst)
	if err != nil {
		return nil, err
	}
	for i := range targets[:min(len(targets), or(t.MaxAddrs, 5))] {
		t.conns.begin(targets[i].addr)
		c, err := t.open(ctx, dst, &targets[i], bounds{})
		if err == nil {
			return c, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}
