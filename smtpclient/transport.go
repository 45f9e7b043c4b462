package smtpclient

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// A Transport sends messages and keeps sessions for reuse. The zero value
// works: opportunistic TLS, no authentication, anonymous. The fields must not
// change once it is in use. It is safe for concurrent use; a session belongs
// to the goroutine that calls Send for as long as the call lasts.
type Transport struct {
	// Name of the send connector, in logs. Default "smtp".
	Name string
	// Hostname for EHLO, HELO and LHLO. Default os.Hostname.
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
	// InsecureSkipVerify and verification hooks are set by the policy.
	TLSConfig *tls.Config
	// MTASTS finds the MTA-STS policies (RFC 8461) of Destination.Domain; nil
	// looks for none.
	MTASTS *mtasts.Cache
	// TLSReport is told how each TLS negotiation of a Destination with a
	// Domain ended, for reports to that domain (RFC 8460);
	// tlsrpt.Collector.Record is made for it. nil tells nobody. It is called
	// on the sending goroutine and must not block.
	TLSReport func(tlsrpt.Session)

	// Auth proves who we are; nil does not authenticate. A host that then
	// offers no AUTH, or no usable mechanism, is unreachable.
	Auth Authenticator
	// AllowInsecureAuth authenticates without TLS too. Default: only under TLS.
	AllowInsecureAuth bool

	// Timeouts for each phase of a session.
	Timeouts Timeouts

	// DialContext opens connections (a proxy, a test). network is "tcp" or
	// "unix". Default: a net.Dialer with LocalAddrs.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// LocalAddrs are the addresses to send from: the first of the remote
	// address' family is used. Empty leaves it to the system.
	LocalAddrs []netip.Addr

	// MaxAddrs bounds the addresses that one Send tries to connect to.
	// Default 5 (Postfix smtp_mx_address_limit).
	MaxAddrs int
	// MaxSessions bounds the sessions that one Send tries a message in when
	// hosts keep answering 4xx. Default 2 (Postfix smtp_mx_session_limit).
	MaxSessions int
	// HostDownTime is how long an address that could not be reached is tried
	// only after all others. Default 1 minute; negative forgets at once.
	HostDownTime time.Duration

	// MaxIdle bounds the idle sessions kept for one destination. Default 20;
	// negative keeps none.
	MaxIdle int
	// MaxIdleTotal bounds all idle sessions. Default 500.
	MaxIdleTotal int
	// IdleTimeout closes a session that nobody used for so long. Default 30 s.
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
}

// Send delivers one message to one destination, over a kept session where
// there is one, and returns one result for each of m.Recipients, in their
// order. When ctx ends it breaks off; what is not known to be delivered by
// then is Deferred. Content is sent at most once to a host that may have
// taken it: after the end of data without a reply the result is Deferred and
// no other host is asked.
func (t *Transport) Send(ctx context.Context, dst *Destination, m *Message) []Result { return nil }

// Dial opens a session with the first of dst's hosts that can be reached, as
// Send does, with TLS and authentication done. It belongs to the caller; it
// does not come from the pool nor go there.
func (t *Transport) Dial(ctx context.Context, dst *Destination) (*Client, error) { return nil, nil }

// Probe opens a session with every address of every host of dst, one after
// the other, and reports what came of each, without sending mail.
func (t *Transport) Probe(ctx context.Context, dst *Destination) ([]Probe, error) { return nil, nil }

// CloseIdle ends all sessions that are not in use.
func (t *Transport) CloseIdle() {}

// Close ends all idle sessions, and lets those in use end when their Send is
// done. Send works after it, but keeps no session any more.
func (t *Transport) Close() error { return nil }

// A Probe is what a connection to one address brought.
type Probe struct {
	Host       string
	Addr       netip.AddrPort
	Greeting   string            // the 220 line's text
	Extensions map[string]string // EHLO keywords (upper case) and their parameters, after TLS where there is TLS
	TLS        *tls.ConnectionState
	Policy     string // the TLS policy that applied, as text: "opportunistic", "dane", "mta-sts", ...
	Err        error  // why a message could not be sent there; nil when it could
}
