package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// A Server is one receive connector: its name, its TLS settings, its limits,
// and the agents and the handler that process what it receives. The zero value
// serves ESMTP and refuses all mail, because it has no Handler. The fields must
// not change after Serve was called.
type Server struct {
	// Name is the name of the connector in logs and trace fields. Default
	// "smtp".
	Name string
	// Hostname is the host name in the banner, the EHLO reply and trace fields.
	// Default: that of the gateway.Gateway. If there is none, the result of
	// os.Hostname.
	Hostname string
	// Agents are called in order at each event of a session.
	Agents []Agent
	// Handler receives accepted messages. If nil, the server refuses messages
	// with 554 5.3.2.
	Handler Handler

	// TLSConfig contains the certificates. If nil, the server does not use TLS.
	TLSConfig *tls.Config
	// TLSMode selects how TLS starts. Default: STARTTLS is offered if TLSConfig
	// is set.
	TLSMode TLSMode
	// InsecureOldTLS allows TLS 1.0 and 1.1, which RFC 8996 forbids, and cipher
	// suites with RSA key exchange, which have no forward secrecy, including
	// 3DES. It is for devices and servers that support nothing else, such as
	// Exchange 2003. Sessions with clients that support better TLS do not
	// change. RSA key exchange needs a certificate with an RSA key.
	// TLSConfig.MinVersion must be 0. The log and the Received field contain
	// the version and the cipher suite of each session.
	InsecureOldTLS bool
	// InsecureOldTLSAuth offers AUTH in sessions with old TLS: the versions and
	// cipher suites that InsecureOldTLS describes. Default: AUTH needs TLS 1.2
	// or later with forward secrecy. This default also applies if TLSConfig,
	// instead of InsecureOldTLS, allows old TLS. See also AllowInsecureAuth.
	InsecureOldTLSAuth bool

	// Auth authenticates clients. If nil, the server does not offer AUTH.
	Auth Authenticator
	// AllowInsecureAuth offers AUTH in all sessions: without TLS, and with old
	// TLS. Default: AUTH needs TLS 1.2 or later with forward secrecy (see
	// InsecureOldTLSAuth).
	AllowInsecureAuth bool
	// LoginLimit limits how many passwords a client can try. Servers may share
	// one. If nil, the server has its own, with the defaults of LoginLimit. A
	// gateway.Gateway gives one to all its servers that have none.
	LoginLimit *LoginLimit

	// Limits are limits on everything that a client can make the server do.
	Limits Limits

	// ContentFile creates the file for the content of a message that is larger
	// than Limits.MemoryContent. The file must be open for reading and writing.
	// Message describes when it is closed. A store that created the file can
	// keep it instead of copying the content (see queue/spool). Default: a
	// temporary file in os.TempDir, which is removed from the directory while
	// it is still open.
	ContentFile func() (*os.File, error)

	// ContentBudget limits the bytes of all unfinished messages together.
	// Servers may share one. If nil, the server has its own, with the default
	// of ContentBudget. A gateway.Gateway gives one to all its servers that
	// have none.
	ContentBudget *ContentBudget

	// LMTP makes the server use LMTP (RFC 2033) instead of SMTP: clients greet
	// with LHLO, and get one reply for each recipient after the end of data.
	LMTP bool
	// Banner is the text after the host name in the greeting. Default "ESMTP",
	// or "LMTP" with LMTP. RFC 5321, 4.2 recommends that it contains the word
	// ESMTP.
	Banner string
	// BannerDelay is how long the server waits before it sends the banner. The
	// server refuses a client that sends input during this time, unless
	// AllowEarlyInput is set. Default none.
	BannerDelay time.Duration
	// AllowEarlyInput allows a client to send input before it gets the banner,
	// and before it gets the reply to EHLO, DATA, STARTTLS or AUTH. Correct
	// clients wait. The server always discards input that came before a
	// STARTTLS handshake.
	AllowEarlyInput bool
	// BareBytes selects whether the server refuses or repairs messages that
	// contain bare CR, bare LF or NUL. Default: BareRefuse. See also
	// Session.SetBareBytes.
	BareBytes BareBytes
	// BareLFFrom contains the networks of clients that may end all their lines
	// with a bare LF, contrary to RFC 5321, 2.3.8: old devices and scripts.
	// Behind a proxy, the server compares the address of the client (from the
	// PROXY header or XCLIENT), not that of the proxy. For such a client LF.LF
	// ends the data, as long as every line of the session so far (commands and
	// text) has ended in a bare LF. After the first CRLF the normal rule
	// applies for the rest of the session: only CRLF ends a command, and only
	// CRLF.CRLF ends the data. The lines that a front end sent before XCLIENT
	// are not considered. Default none.
	//
	// The risk is SMTP smuggling (CVE-2023-51764). Suppose that a host in these
	// networks relays mail from other hosts, does not remove bare LFs from it,
	// and ends all lines with bare LFs. Then an attacker can write a message
	// with an LF.LF and further commands in its text. The server would accept
	// these commands as commands of the relaying host. Known mail relays do not
	// end lines with bare LFs. Nevertheless, list only networks whose hosts
	// write their mail themselves. Do not list relays, gateways, proxies that
	// open their own sessions, or hosts that you do not know.
	BareLFFrom []netip.Prefix

	// StrictHelo refuses client names (HELO, EHLO, LHLO) that contain a space,
	// one of ()<>"\,; or a character that is not printable ASCII. Default: the
	// server accepts every name without control characters, because devices use
	// names such as "my printer" or "(none)". See Session.Helo.
	StrictHelo bool
	// DefaultDomain completes addresses that have no domain, which some devices
	// send: with "example.com", MAIL FROM:<scanner> means scanner@example.com.
	// RCPT TO:<postmaster> is not changed (RFC 5321, 4.1.1.3). Default none:
	// the server refuses an address without a domain with 501.
	DefaultDomain string

	// ProxyFrom contains the networks of proxies. Their connections must begin
	// with a PROXY protocol header (HAProxy, version 1 or 2). From other
	// addresses the header is not recognized. If the header contains no TCP
	// address (UNKNOWN, LOCAL, UNSPEC, UNIX, UDP), the session has no client
	// address; see Session.RemoteAddr. Default none.
	ProxyFrom []netip.Prefix
	// XClientFrom contains the networks of front ends that may use XCLIENT
	// (Postfix) to give the address of their client. For a connection through a
	// proxy of ProxyFrom, the server compares the address in the PROXY header,
	// not the address of the proxy. A front end must not relay an XCLIENT
	// command of its clients. Default none.
	XClientFrom []netip.Prefix

	// Disable switches off extensions that are on by default. Enable switches
	// on extensions that are off by default. Disable has priority.
	Disable, Enable Extension
	// MinDeliverBy is the shortest delivery time that a client may request with
	// the parameter BY in return mode (RFC 2852). Default none.
	MinDeliverBy time.Duration
	// MaxHold is the longest time for which a client may ask the server to hold
	// a message (RFC 4865). Default 24 hours.
	MaxHold time.Duration

	// Logger gets one line for each session, message and refusal. Default: that
	// of the gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger

	// Observe, if set, is called when mail is refused, discarded or quarantined,
	// after the reply is decided and before it is sent. s.Message has what is known
	// of the message. Observe runs on the goroutine of the session and must return
	// quickly. It must not change the message. A gateway.Gateway with a tracking log
	// sets it if it is nil, so that the log has these actions.
	Observe func(s *Session, a *Action)

	// ProtocolLog gets every command and reply. If nil, there is no protocol
	// log.
	ProtocolLog ProtocolLog

	once     sync.Once // for prepare
	limits   Limits    // with defaults
	hostname string
	enhanced bool // ENHANCEDSTATUSCODES
	tls      *tls.Config
	logins   *LoginLimit
	ids      idSource
	ctx      context.Context // of all sessions
	cancel   context.CancelFunc
	open     context.Context // ends when Shutdown or Close is called
	shut     context.CancelFunc

	counters      serverCounters
	live          live.Registry
	contentMemory atomic.Int64
	content       *ContentBudget // ContentBudget or its default
	closing       atomic.Bool
	current       atomic.Int64 // sessions
	places        atomic.Int64 // sessions that have a place

	mu        sync.Mutex // guards the following fields
	listeners map[*net.Listener]struct{}
	sessions  map[*Session]struct{}
	idle      chan struct{} // closed when closing and sessions is empty
	usage     usageTable

	// For makeRoom.
	roomMade   time.Time // the last time
	turnedAway int       // clients that got no place since then
}

// TLSMode selects how a server uses TLS.
type TLSMode int

const (
	// TLSOffered offers STARTTLS if TLSConfig is set.
	TLSOffered TLSMode = iota
	// TLSOff never uses TLS.
	TLSOff
	// TLSRequired accepts only EHLO, HELO, LHLO, NOOP, HELP and QUIT before
	// STARTTLS, and refuses all other commands with 530 5.7.0.
	TLSRequired
	// TLSImplicit uses TLS from the first byte (port 465).
	TLSImplicit
)

// A Handler receives messages and accepts responsibility for them.
type Handler interface {
	// Receive stores or delivers m. It returns nil only when the message is
	// safe (on stable storage). The server then replies 250 2.0.0 with the text
	// reply, or with "Ok: queued as ID" if reply is empty. Errors have the same
	// meaning as those of an Agent: a *smtp.SMTPError is the reply, and any
	// other error becomes 451 4.3.0. For LMTP, see RecipientErrors. Receive
	// must not keep s. It may keep m, its header and its content.
	Receive(ctx context.Context, s *Session, m *Message) (reply string, err error)
}

// HandlerFunc is a function that implements Handler.
type HandlerFunc func(ctx context.Context, s *Session, m *Message) (reply string, err error)

// Receive calls f.
func (f HandlerFunc) Receive(ctx context.Context, s *Session, m *Message) (string, error) {
	return f(ctx, s, m)
}

// ErrServerClosed is the error that Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("smtpserver: Server closed")
