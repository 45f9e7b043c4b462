package smtpclient

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// A Transport sends messages and keeps sessions for reuse. The zero value works:
// it uses opportunistic TLS and does not authenticate. The fields must not be
// changed after the first use. A Transport is safe for concurrent use; each call
// of Send uses a session of its own.
type Transport struct {
	// Name is the name of the send connector in logs, unless
	// Destination.Connector is set. Default "smtp".
	Name string
	// Hostname is the name in EHLO, HELO and LHLO. Default: that of the
	// gateway.Gateway. If there is none, Destination.Hostname, and if that is
	// empty too, os.Hostname.
	Hostname string

	// LMTP uses LMTP (RFC 2033) instead of SMTP.
	LMTP bool
	// ForceHELO sends HELO instead of EHLO, so no extension is used.
	ForceHELO bool
	// ImplicitTLS begins TLS with the first byte (port 465, RFC 8314).
	ImplicitTLS bool

	// TLS is the TLS policy, unless Destination.TLS is set.
	TLS TLSPolicy
	// TLSConfig is the base of the configuration for every handshake: root and
	// client certificates, versions, cipher suites, session cache. The policy
	// sets ServerName, InsecureSkipVerify and the verification functions.
	// Versions and cipher suites in TLSConfig take precedence over
	// TLSPolicy.AllowOld. TLS sessions are resumed only with the same host and
	// policy, even if several Transports share the cache. Default: a cache that
	// grows with the hosts in use, up to 16384 sessions, and forgets sessions
	// that were not used for an hour.
	TLSConfig *tls.Config
	// MTASTS looks up the MTA-STS policies (RFC 8461) of Destination.Domain and
	// Host.Domain; nil does not use MTA-STS.
	MTASTS *mtasts.Cache
	// TLSReport receives the result of each TLS negotiation with a host that
	// has a policy domain (Destination.Domain, Host.Domain), for reports to that
	// domain (RFC 8460). tlsrpt.Collector.Record is a function for it. nil
	// reports nothing. Send calls it and waits for it, so it must not block.
	TLSReport func(tlsrpt.Session)

	// Auth authenticates the client, unless Destination.Auth is set; nil does
	// not authenticate. With Auth, a host that does not offer AUTH or a usable
	// mechanism is Unreachable.
	Auth Authenticator
	// AllowInsecureAuth also authenticates in plain text and over old TLS.
	// Default: only in TLS.
	AllowInsecureAuth bool
	// AllowOldTLSAuth also authenticates over old TLS (see TLSPolicy.AllowOld),
	// but not in plain text.
	AllowOldTLSAuth bool

	// Send8Bit sends 8-bit content unchanged to hosts that do not announce
	// 8BITMIME. RFC 6152 forbids that, but nearly every host accepts it. It is
	// the only way to send 8-bit content if a firewall hides the extensions of
	// the host. Default: such a message fails with 5.6.3.
	Send8Bit bool

	// Timeouts of the phases of a session.
	Timeouts Timeouts

	// DialContext opens connections, for example through a proxy. network is
	// "tcp" or "unix". Default: a net.Dialer with LocalAddrs.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// LocalAddrs are the local addresses. The first one of the family of the
	// remote address is used. Default: the system chooses.
	LocalAddrs []netip.Addr

	// MaxAddrs is the maximum number of addresses that one Send tries to
	// connect to. If there are more, up to half of the attempts are for IPv4
	// and up to half for IPv6, and a later Send begins with the addresses that
	// were not tried. Hosts that a policy excludes (MTA-STS, DANE) do not
	// count. Default 5 (Postfix smtp_mx_address_limit).
	MaxAddrs int
	// MaxSessions is the maximum number of sessions in which one Send tries a
	// message, when hosts reply 4xx. Default 2 (Postfix smtp_mx_session_limit).
	MaxSessions int
	// HostDownTime is a time that begins when no session could be opened with
	// an address. Until it is over, Send tries this address after all others.
	// From then until 24 hours after the failure, Send tries such addresses
	// after those that have not failed, except one: it tries the address with
	// the oldest failure at its normal place. A failure that the TLS policy or
	// the credentials of a destination cause counts only for that destination.
	// Default 1 minute; a negative value remembers no failures.
	HostDownTime time.Duration

	// AttemptTime and AttemptRate limit the time of one Send, for all hosts
	// that it tries together. The limit is AttemptTime plus the time that the
	// content needs at AttemptRate octets per second. The lookup of the hosts
	// does not count. After the end of data, Send still waits for the reply, up
	// to Timeouts.DataDone, because the host may have accepted the message.
	// Default 30 minutes and 1024 octets per second. 30 minutes are enough for
	// a host that needs up to half a minute for the reply to each of 50
	// recipients. A negative AttemptTime means no limit.
	AttemptTime time.Duration
	AttemptRate int64

	// MaxConnsPerAddr is the maximum number of connections to one address at
	// the same time, for all destinations together. Default 20 (as
	// queue.HopLimits.Concurrency); a negative value means no limit.
	MaxConnsPerAddr int
	// MaxWait is how long a message waits for a session with a host when
	// MaxConnsPerAddr connections are in use, or when the host accepts no more
	// connections. If the host refuses a connection while others are open, a
	// Transport assumes that the host accepts no more. Default 1 minute. With a
	// negative value, a Transport does not assume this, and no message waits:
	// the outcome is Busy.
	MaxWait time.Duration

	// MaxIdle is the maximum number of idle sessions kept with one address.
	// Default 20; a negative value keeps none.
	MaxIdle int
	// MaxIdleTotal is the maximum number of idle sessions in all. Default: half
	// of the files that the process may have open (RLIMIT_NOFILE), at least 10
	// and at most 16384. If the system has no such limit, the default is 500.
	// Lower it if several Transports of the process keep sessions with
	// thousands of hosts.
	MaxIdleTotal int
	// IdleTimeout is the time after which an idle session is closed. Default
	// 30 s.
	IdleTimeout time.Duration
	// MaxAge is the age after which a session is not kept for another message.
	// Default 5 minutes (Postfix smtp_connection_reuse_time_limit).
	MaxAge time.Duration
	// MaxMessages is the maximum number of messages in one session. Default
	// 100; a negative value means no limit.
	MaxMessages int
	// MaxRecipients is the maximum number of recipients in one transaction. A
	// message with more is sent in several transactions. Default 100 (RFC 5321,
	// 4.5.3.1.8).
	MaxRecipients int

	// RequestMail requests the mail that the host holds for this relay, with ETRN (RFC
	// 1985) on the connection that has just sent mail: once in a session, after its
	// first message. Each entry is a domain, "@domain" or "#queue". The host delivers
	// the mail over its own connections. A host that does not announce ETRN is not
	// asked. A refusal is logged, and has no effect on the mail that was sent. To
	// request mail at other times, use routing.Fetcher.
	RequestMail []string

	// Logger logs each session that is opened and each that fails. Default:
	// that of the gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger
	// ProtocolLog receives each command and reply; nil logs nothing.
	ProtocolLog ProtocolLog

	pool     pool
	live     live.Registry
	counters transportCounters
	places   places
	conns    connections
	down     downList
	starttls downList // hosts that closed at STARTTLS
	tlsOnce  sync.Once
	tlsCache tls.ClientSessionCache

	idleOnce  sync.Once
	idleTotal int // the default of MaxIdleTotal
}

// Send sends one message to one destination and returns one result for each of
// m.Recipients, in their order. It uses an idle session if there is one. If a
// host does not reply to the end of data, it may have accepted the message; the
// result is then Deferred, and Send does not try another host.
//
// If m has no recipients, or is nil, Send sends nothing and returns no results.
// Content must not be nil, and Destination.Hosts must be set.
//
// When ctx ends, Send stops. Recipients without a result are then Deferred. Each
// reply has its own timeout, and AttemptTime limits the whole time.
func (t *Transport) Send(ctx context.Context, dst *Destination, m *Message) []Result {
	if m == nil {
		return nil
	}
	if dst == nil {
		dst = &Destination{} // the result is the error about its Hosts
	}
	d := newDelivery(m)
	if len(d.todo) == 0 {
		return d.results
	}
	dst, err := dst.withHosts(ctx)
	if err != nil {
		d.setUnreachable(ctx, nil, err)
		return d.results
	}
	dst = t.relaxed(dst, m)
	d.bounds = t.bounds(m, time.Now())
	a := attempt{t: t, ctx: ctx, dst: dst, d: d}
	if c := t.take(dst); c != nil && a.sendOn(c) {
		return d.results
	}
	a.sendToHosts()
	return d.results
}

// take returns an idle session that the destination may use without a lookup of
// its hosts and that the host has not closed, or nil: its own session, or one
// with the host that it used last.
func (t *Transport) take(dst *Destination) *Client {
	k := t.key(dst)
	if c := t.firstAlive(func() *idle { return t.pool.take(k) }); c != nil {
		return c
	}
	if at := t.places.get(k, time.Now(), t.idleTimeout(), t.maxAge()); at != nil {
		return t.takeFrom(at)
	}
	return nil
}

// takeFrom is as take, for a session of any destination with the host.
func (t *Transport) takeFrom(k *sessionKey) *Client {
	return t.firstAlive(func() *idle { return t.pool.takeFrom(k) })
}

func (t *Transport) firstAlive(next func() *idle) *Client {
	for {
		i := next()
		if i == nil {
			return nil
		}
		// Check also a session that was just used: a reply that came meanwhile
		// must not be read as a reply to the next message.
		if alive(i.c.raw) && time.Since(i.since) < t.idleTimeout() {
			return i.c
		}
		i.c.Close()
	}
}

// acquire reports whether a connection for k may be opened, and counts it. To
// make room, it ends an idle session that is for other mail. If the idle session
// may carry the mail, it is the result: another Send has put it back meanwhile.
func (t *Transport) acquire(k *sessionKey) (c *Client, ok bool) {
	most := max(or(t.MaxConnsPerAddr, 20), 0)
	ok, crowded := t.conns.acquire(k.addr, most, t.MaxWait >= 0, time.Now())
	if ok || !crowded {
		return nil, ok
	}
	if c = t.pool.evict(k.addr); c == nil {
		return nil, false
	}
	if c.key == *k && alive(c.raw) {
		return c, false
	}
	c.leave()
	ok, _ = t.conns.acquire(k.addr, most, t.MaxWait >= 0, time.Now())
	return nil, ok
}

// put keeps a session for the next message, or ends it because of the limits.
func (t *Transport) put(dst *Destination, c *Client) {
	now := time.Now()
	switch n := or(t.MaxMessages, 100); {
	case c.closed != nil:
		return
	case c.mon.isEnded(), c.renew, c.unusable, c.buffered(), n > 0 && c.carried >= n, c.feat.mailMax > 0 && c.carried >= c.feat.mailMax, t.MaxIdle < 0, now.Sub(c.opened) >= t.maxAge():
		c.leave()
		return
	}
	if passed, wanted := t.conns.pass(c); passed {
		return
	} else if wanted {
		c.leave()
		return
	}
	i := &idle{c: c, key: t.key(dst), since: now}
	if out := t.pool.put(i, or(t.MaxIdle, 20), t.maxIdleTotal(), t.idleTimeout()); out != nil {
		out.leave()
	}
	if c.mon.isEnded() && t.pool.claim(c) { // EndSession has not found it in the pool
		c.Close()
	}
}

func (t *Transport) maxIdleTotal() int {
	if t.MaxIdleTotal != 0 {
		return t.MaxIdleTotal
	}
	t.idleOnce.Do(func() { t.idleTotal = defaultIdleTotal() })
	return t.idleTotal
}

func (t *Transport) maxAge() time.Duration { return or(t.MaxAge, 5*time.Minute) }

func (t *Transport) idleTimeout() time.Duration { return or(t.IdleTimeout, 30*time.Second) }

func (t *Transport) auth(dst *Destination) Authenticator {
	if dst.Auth != nil {
		return dst.Auth
	}
	return t.Auth
}

// connector returns the send connector's name, for logs.
func (t *Transport) connector(dst *Destination) string {
	return or(dst.Connector, or(t.Name, "smtp"))
}

func (t *Transport) log(connector, what, host, addr string, err error) {
	if t.Logger != nil {
		t.Logger.Info(what, "connector", connector, "host", host, "addr", addr, "err", err)
	}
}

// CloseIdle ends all idle sessions.
func (t *Transport) CloseIdle() { t.pool.drain(false) }

// Close ends all idle sessions. Sessions in use end when their Send returns.
// Send still works after Close, but keeps no sessions. The error is always nil.
func (t *Transport) Close() error {
	t.pool.drain(true)
	return nil
}
