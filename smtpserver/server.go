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
)

// A Server is one receive connector: what listens, under which name, with
// which limits, and who judges and takes over what comes in. Its zero value
// serves ESMTP and refuses all mail for want of a Handler. The fields must
// not change once Serve was called.
type Server struct {
	// Name of the connector, in logs and trace. Default "smtp".
	Name string
	// Hostname for the banner, the EHLO reply and trace fields.
	// Default os.Hostname.
	Hostname string
	// Agents judge, in order, at each event.
	Agents []Agent
	// Handler takes over accepted messages. nil refuses them with 554 5.3.2.
	Handler Handler

	// TLSConfig has the certificates; without it there is no TLS.
	TLSConfig *tls.Config
	// TLSMode says how TLS comes about. Default: STARTTLS is offered where
	// TLSConfig is set.
	TLSMode TLSMode
	// InsecureOldTLS accepts TLS 1.0 and 1.1 (RFC 8996 forbids both) and cipher
	// suites with RSA key exchange, which have no forward secrecy, also with
	// 3DES: for devices and servers that support nothing else, such as Exchange
	// 2003. RSA key exchange needs a certificate with an RSA key. Peers that can
	// do better still do. TLSConfig must not have a MinVersion then. Version
	// and cipher suite of each session are in the log and in Received.
	InsecureOldTLS bool
	// InsecureOldTLSAuth offers AUTH in sessions with old TLS too, of the kind
	// that InsecureOldTLS describes, whichever setting allows it. Default: AUTH
	// needs TLS 1.2 or later with forward secrecy. See also AllowInsecureAuth.
	InsecureOldTLSAuth bool

	// Auth proves clients' identities; nil offers no AUTH.
	Auth Authenticator
	// AllowInsecureAuth offers AUTH without TLS and with old TLS too. Default:
	// only under TLS that is not old, see InsecureOldTLS.
	AllowInsecureAuth bool

	// Limits bound everything that a client can make the server do.
	Limits Limits

	// Overflow opens the file for content beyond Limits.MemoryContent, open
	// for reading and writing. Message tells when it is closed; a store that
	// adopts it takes it by os.File identity (see queue/spool). Default: an
	// unlinked file in os.TempDir.
	Overflow func() (*os.File, error)

	// LMTP speaks LMTP (RFC 2033) instead of SMTP: LHLO, and a reply for each
	// recipient.
	LMTP bool
	// Banner is what follows the host name in the greeting. Default "ESMTP".
	// RFC 5321, 4.2 wants that word in it.
	Banner string
	// BannerDelay is how long the server waits before it sends the banner. A
	// client that does not wait with it is refused, unless AllowEarlyInput.
	BannerDelay time.Duration
	// AllowEarlyInput lets clients send on before the banner and before the
	// replies to EHLO, DATA, STARTTLS and AUTH, which honest ones never do.
	// Even then what came before STARTTLS is discarded.
	AllowEarlyInput bool
	// BareBytes is what the server does with messages that contain bare CR,
	// bare LF or NUL. Default: BareRefuse. See also Session.SetBareBytes.
	BareBytes BareBytes
	// BareLFFrom names the networks of clients that may end all their lines with
	// a bare LF, against RFC 5321, 2.3.8: old devices and scripts. The address of
	// the client itself counts, behind PROXY and XCLIENT. For such a client
	// LF.LF ends the data as long as every line of its session, command or
	// text, has ended in a bare LF. The first CRLF ends that for the rest of the
	// session: then, as for all other clients, only CRLF ends a command and only
	// CRLF.CRLF the data. What was sent by XCLIENT's front end itself does not
	// count. Default none.
	//
	// The risk is SMTP smuggling (CVE-2023-51764). A host that passes on mail of
	// others, leaves the bare LFs in it as they are, and ends its own lines with
	// bare LFs too, lets their text end a message here and begin another in its
	// name. Such hosts are no known relays, but name only networks whose hosts
	// write their mail themselves; name no relay, no gateway, no proxy that opens
	// sessions of its own, and nobody you do not know.
	BareLFFrom []netip.Prefix

	// StrictHelo refuses names of clients (HELO, EHLO, LHLO) with other than
	// printable ASCII characters, with a space or with one of ()<>"\,; in it.
	// Default: every name without control characters is accepted, since devices
	// call themselves "my printer" or "(none)". See Session.Helo.
	StrictHelo bool
	// DefaultDomain completes addresses that have no domain, as devices send
	// them: with "example.com", MAIL FROM:<scanner> is scanner@example.com.
	// RCPT TO:<postmaster> stays as it is (RFC 5321, 4.1.1.3). Default none:
	// an address without a domain is refused with 501.
	DefaultDomain string

	// ProxyFrom names the networks of proxies whose connections begin with a
	// PROXY protocol header (HAProxy's, version 1 or 2). From there it is
	// required, from elsewhere it is nothing that SMTP knows. A header without
	// an address of TCP (UNKNOWN, LOCAL, UNSPEC, UNIX, UDP) makes a session
	// without a client address, see Session.RemoteAddr.
	ProxyFrom []netip.Prefix
	// XClientFrom names the networks of front ends that may say by XCLIENT
	// (Postfix's) for whom they speak. A client behind a proxy of ProxyFrom may
	// when its own address is in them; the proxy's does not count. A front end
	// must not pass on an XCLIENT of its clients'.
	XClientFrom []netip.Prefix

	// Disable and Enable switch extensions off that are on by default, and on
	// that are off. Disable wins.
	Disable, Enable Extension
	// MinDeliverBy is the shortest time for BY with return (RFC 2852).
	MinDeliverBy time.Duration
	// MaxHold is the longest time for which a client may have a message held
	// back (RFC 4865). Default one day.
	MaxHold time.Duration

	// Logger gets one line for each session, message and refusal; nil is
	// silent.
	Logger *slog.Logger

	// ProtocolLog gets every line that is said; nil keeps none.
	ProtocolLog ProtocolLog

	once     sync.Once // for prepare
	limits   Limits    // with defaults
	hostname string
	enhanced bool // ENHANCEDSTATUSCODES
	tls      *tls.Config
	ids      idSource
	ctx      context.Context // of all sessions
	cancel   context.CancelFunc
	open     context.Context // ends when the server begins to close
	shut     context.CancelFunc

	counters      counters
	contentMemory atomic.Int64
	closing       atomic.Bool
	current       atomic.Int64 // sessions

	mu        sync.Mutex // guards what follows
	listeners map[*net.Listener]struct{}
	sessions  map[*Session]struct{}
	idle      chan struct{} // closed when closing and sessions is empty
	accounts  accounts
}

// TLSMode says how a server comes to speak TLS.
type TLSMode int

const (
	TLSOffered  TLSMode = iota // STARTTLS where TLSConfig is set
	TLSOff                     // no TLS at all
	TLSRequired                // before STARTTLS only EHLO, NOOP, QUIT: 530 5.7.0 otherwise
	TLSImplicit                // from the first byte (port 465)
)

// Handler takes over responsibility for messages.
type Handler interface {
	// Receive takes m over. nil means "safe" (on stable storage), and only
	// then does the client read 250 2.0.0, with the text of reply or, where
	// that is empty, "Ok: queued as ID". An error is treated as an agent's:
	// a *smtp.SMTPError is the reply, anything else is 451 4.3.0.
	// Receive must not keep s; it may keep m, its header and its content.
	Receive(ctx context.Context, s *Session, m *Message) (reply string, err error)
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(ctx context.Context, s *Session, m *Message) (reply string, err error)

// Receive calls f.
func (f HandlerFunc) Receive(ctx context.Context, s *Session, m *Message) (string, error) {
	return f(ctx, s, m)
}

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("smtpserver: Server closed")
