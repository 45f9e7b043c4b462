package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// A Transport sends messages and keeps sessions for reuse. The zero value
// works: opportunistic TLS, no authentication, anonymous. The fields must not
// change once it is in use. It is safe for concurrent use; a session belongs
// to the goroutine that calls Send for as long as the call lasts.
type Transport struct {
	// Name of the send connector, in logs, for destinations that name none
	// (Destination.Connector). Default "smtp".
	Name string
	// Hostname for EHLO, HELO and LHLO. Default Destination.Hostname, and
	// where that is empty os.Hostname.
	Hostname string

	// LMTP speaks LMTP (RFC 2033) instead of SMTP.
	LMTP bool
	// ForceHELO says HELO instead of EHLO, so no extension is used.
	ForceHELO bool
	// ImplicitTLS begins TLS with the first byte (port 465, RFC 8314).
	ImplicitTLS bool

	// TLS is the policy for destinations that have none of their own.
	TLS TLSPolicy
	// TLSConfig is the base for every handshake: root and client
	// certificates, versions, cipher suites, session cache. Its ServerName,
	// InsecureSkipVerify and verification hooks are set by the policy. Versions
	// and cipher suites that are set here go before TLSPolicy.AllowOld.
	// Sessions are resumed only with the same host and under the same policy,
	// also where the cache is shared. Default: a cache of 1024 sessions.
	TLSConfig *tls.Config
	// MTASTS finds the MTA-STS policies (RFC 8461) of Destination.Domain; nil
	// looks for none.
	MTASTS *mtasts.Cache
	// TLSReport is told how each TLS negotiation with a host that has a policy
	// domain (Destination.Domain, Host.Domain) ended, for reports to that domain (RFC 8460);
	// tlsrpt.Collector.Record is made for it. nil reports nothing. It is called
	// on the sending goroutine and must not block.
	TLSReport func(tlsrpt.Session)

	// Auth proves who we are; nil does not authenticate. A host that then
	// offers no AUTH, or no usable mechanism, is unreachable.
	Auth Authenticator
	// AllowInsecureAuth authenticates without TLS too, and over old TLS.
	// Default: only under TLS.
	AllowInsecureAuth bool
	// AllowOldTLSAuth authenticates over old TLS too (see TLSPolicy.AllowOld),
	// but not in plain text.
	AllowOldTLSAuth bool

	// Send8Bit sends 8-bit content as it is to hosts that did not announce
	// 8BITMIME. RFC 6152 forbids it, but nearly every host takes it, and behind
	// a firewall that hides extensions it is the only way. Default: such a
	// message fails with 5.6.3.
	Send8Bit bool

	// Timeouts for each phase of a session.
	Timeouts Timeouts

	// DialContext opens connections (a proxy, a test). network is "tcp" or
	// "unix". Default: a net.Dialer with LocalAddrs.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// LocalAddrs are the addresses to send from: the first of the remote
	// address' family is used. Empty leaves it to the system.
	LocalAddrs []netip.Addr

	// MaxAddrs bounds the addresses that one Send tries to connect to. Where
	// there are more, IPv4 and IPv6 get up to half of them each, and a later
	// Send begins with those that were not tried. Hosts that a policy excludes
	// (MTA-STS, DANE) do not count. Default 5 (Postfix smtp_mx_address_limit).
	MaxAddrs int
	// MaxSessions bounds the sessions that one Send tries a message in when
	// hosts keep answering 4xx. Default 2 (Postfix smtp_mx_session_limit).
	MaxSessions int
	// HostDownTime is how long an address with which no session came about is
	// tried only after all others. For a day after that, of several such
	// addresses only one is tried before the others. A failure that only the
	// TLS policy or the credentials of a destination cause counts for that
	// destination alone. Default 1 minute; negative forgets at once.
	HostDownTime time.Duration

	// MaxWait bounds how long a message waits for a session with a host that
	// accepts no more connections, which is learned from its refusals while
	// there are others. Default 1 minute; negative connects for each message
	// that finds no idle session.
	MaxWait time.Duration

	// MaxIdle bounds the idle sessions kept for one destination. Default 20;
	// negative keeps none.
	MaxIdle int
	// MaxIdleTotal bounds all idle sessions. Default 500.
	MaxIdleTotal int
	// IdleTimeout closes a session that was not used for so long. Default 30 s.
	IdleTimeout time.Duration
	// MaxAge closes a session that is so old, when its message is done.
	// Default 5 minutes (Postfix smtp_connection_reuse_time_limit).
	MaxAge time.Duration
	// MaxMessages is how many messages one session may carry. Default 100;
	// negative means no limit.
	MaxMessages int
	// MaxRecipients is how many recipients one transaction may have, more
	// are split. Default 100 (RFC 5321, 4.5.3.1.8).
	MaxRecipients int

	// Logger gets a line for each session opened and each that failed; nil is
	// silent.
	Logger *slog.Logger
	// ProtocolLog gets every line that is said; nil keeps none.
	ProtocolLog ProtocolLog

	pool     pool
	conns    connections
	down     downList
	starttls downList // hosts that closed at STARTTLS
	tlsOnce  sync.Once
	tlsCache tls.ClientSessionCache
}

// Send delivers one message to one destination, over a kept session where
// there is one, and returns one result for each of m.Recipients, in their
// order. Once a host may have taken the message no other is asked: after the
// end of data without a reply the result is Deferred.
//
// When ctx ends Send breaks off; what is not known to be delivered by then is
// Deferred. Each reply has its own timeout, so a host that is always just in
// time is bounded only by ctx.
func (t *Transport) Send(ctx context.Context, dst *Destination, m *Message) []Result {
	d := newDelivery(m)
	if len(d.todo) == 0 {
		return d.results
	}
	dst, err := dst.identified(ctx)
	if err != nil {
		d.unreached(ctx, nil, err)
		return d.results
	}
	dst = t.relaxed(dst, m)
	var used string // the address of a session that had its say
	sessions := 0
	if c := t.take(dst); c != nil {
		if t.over(ctx, c, d) {
			if !c.renew {
				sessions++
				used = c.addr
			}
		}
		renew := c.renew // after put, c may be another Send's
		t.put(dst, c)
		if !d.retry(renew) {
			return d.results
		}
	}
	if tg, errs := t.fresh(ctx, dst, d, used, sessions); tg != nil {
		t.crowded(ctx, dst, d, tg, errs)
	}
	return d.results
}

// over sends d over a session. It says false when a kept session turned out
// to be dead: nothing was heard, no content was sent, and d is as before.
func (t *Transport) over(ctx context.Context, c *Client, d *delivery) bool {
	err := c.do(ctx, func() error { return c.deliver(d) })
	if err == nil {
		c.carried++
		return true
	}
	c.Close()
	if c.carried > 0 && !c.heard && ctx.Err() == nil {
		t.log(c.cfg.Connector, "kept session was dead", c.cfg.Host, c.addr, err)
		return false
	}
	t.log(c.cfg.Connector, "session broke", c.cfg.Host, c.addr, err)
	d.lose(c, err)
	return true
}

// fresh sends d over new sessions, one host after the other, until each
// recipient has a final result or there is nothing left to try but to
// wait: for full, which accepts no more connections.
func (t *Transport) fresh(ctx context.Context, dst *Destination, d *delivery, used string, sessions int) (full *target, errs []error) {
	targets, errs, err := t.targets(ctx, dst)
	if err != nil {
		d.unreached(ctx, nil, err)
		return nil, nil
	}
	for tries := 0; len(targets) > 0 && tries < or(t.MaxAddrs, 5) && sessions < or(t.MaxSessions, 2) && ctx.Err() == nil; {
		tg := &targets[0]
		if full != nil && tg.failed {
			break // better wait for a host that works
		}
		if tg.addr == used {
			targets = targets[1:]
			continue
		}
		if t.MaxWait < 0 {
			t.conns.begin(tg.addr)
		} else if !t.conns.acquire(tg.addr, time.Now()) {
			full, targets = or(full, tg), targets[1:]
			continue
		}
		tries++
		c, err := t.open(ctx, dst, tg)
		if err != nil {
			if isFull(err) {
				full = or(full, tg)
			}
			errs = append(errs, err)
			targets = targets[1:]
			d.retry(false)
			continue
		}
		t.over(ctx, c, d)
		renew := c.renew // after put, c may be another Send's
		t.put(dst, c)
		if !d.retry(renew) {
			return nil, nil
		}
		if renew {
			tries--
		} else {
			sessions++
			targets = targets[1:]
		}
	}
	if full != nil && t.MaxWait >= 0 && sessions < or(t.MaxSessions, 2) {
		return full, errs
	}
	d.unreached(ctx, errs, errors.Join(errs...))
	return nil, nil
}

// take returns a kept session that seems to be alive, or nil.
func (t *Transport) take(dst *Destination) *Client {
	for {
		i := t.pool.take(t.key(dst))
		if i == nil {
			return nil
		}
		// Also of one that was just used: a reply that came meanwhile must not
		// be taken for one to the next message.
		if alive(i.c.raw) && time.Since(i.since) < t.idleTimeout() {
			return i.c
		}
		i.c.Close()
	}
}

// put keeps a session for the next message, or ends it.
func (t *Transport) put(dst *Destination, c *Client) {
	now := time.Now()
	switch n := or(t.MaxMessages, 100); {
	case c.closed != nil:
		return
	case c.renew, c.spent, c.buffered(), n > 0 && c.carried >= n, c.feat.mailMax > 0 && c.carried >= c.feat.mailMax, t.MaxIdle < 0, now.Sub(c.opened) >= or(t.MaxAge, 5*time.Minute):
		c.leave()
		return
	}
	k := t.key(dst)
	if passed, wanted := t.conns.pass(c.addr, k, c); passed {
		return
	} else if wanted {
		c.leave()
		return
	}
	i := &idle{c: c, key: k, since: now}
	if out := t.pool.put(i, or(t.MaxIdle, 20), or(t.MaxIdleTotal, 500), t.idleTimeout()); out != nil {
		out.leave()
	}
}

func (t *Transport) idleTimeout() time.Duration { return or(t.IdleTimeout, 30*time.Second) }

func (t *Transport) key(dst *Destination) key {
	k := key{
		name: dst.Name, hosts: dst.hosts, domain: dst.Domain, tls: t.policy(dst),
		hostname: or(t.Hostname, dst.Hostname), connector: t.connector(dst),
	}
	if a := t.auth(dst); a != nil {
		k.identity = a.Identity()
	}
	return k
}

func (t *Transport) auth(dst *Destination) Authenticator {
	if dst.Auth != nil {
		return dst.Auth
	}
	return t.Auth
}

// connector is the send connector's name, for logs.
func (t *Transport) connector(dst *Destination) string {
	return or(dst.Connector, or(t.Name, "smtp"))
}

func (t *Transport) log(connector, what, host, addr string, err error) {
	if t.Logger != nil {
		t.Logger.Info(what, "connector", connector, "host", host, "addr", addr, "err", err)
	}
}

// CloseIdle ends all sessions that are not in use.
func (t *Transport) CloseIdle() { t.pool.drain(false) }

// Close ends all idle sessions, and lets those in use end when their Send is
// done. Send works after it, but keeps no session any more.
func (t *Transport) Close() error {
	t.pool.drain(true)
	return nil
}
