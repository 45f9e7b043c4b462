package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"

	"github.com/emersion/go-sasl"
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

	// Auth proves clients' identities; nil offers no AUTH.
	Auth Authenticator
	// AllowInsecureAuth offers AUTH without TLS too. Default: only under TLS.
	AllowInsecureAuth bool

	// Limits bound everything that a client can make the server do.
	Limits Limits

	// Overflow opens the file for content beyond Limits.MemoryContent, open
	// for reading and writing. The file is closed when the message is done
	// with; a store that adopts it takes it by os.File identity (see
	// queue/spool). Default: an unlinked file in os.TempDir.
	Overflow func() (*os.File, error)

	// Logger gets one line for each session, message and refusal; nil is
	// silent.
	Logger *slog.Logger
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
	// then does the client read 250, with the text of reply or, where that
	// is empty, "2.0.0 Ok: queued as ID". An error is treated as an agent's:
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

// An Authenticator knows the SASL mechanisms that a session may use and runs
// them.
type Authenticator interface {
	// Mechanisms are the names for the EHLO reply, best first.
	Mechanisms(s *Session) []string
	// Start begins an exchange. Before the returned server reports success,
	// it must have called s.SetIdentity.
	Start(ctx context.Context, s *Session, mechanism string) (sasl.Server, error)
}

// PasswordAuth offers PLAIN and LOGIN and asks check whether the password is
// right: nil means yes and makes username the identity.
func PasswordAuth(check func(ctx context.Context, s *Session, username, password string) error) Authenticator {
	return nil
}

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("smtpserver: Server closed")

// Serve accepts connections on l until Shutdown, Close or an error of l's.
// It may be called for several listeners. It always returns an error.
func (srv *Server) Serve(l net.Listener) error { return ErrServerClosed }

// ListenAndServe listens on addr and serves; "" is ":25", or ":465" with
// TLSImplicit.
func (srv *Server) ListenAndServe(addr string) error { return ErrServerClosed }

// Shutdown closes the listeners, lets sessions finish the command or message
// in hand, answers the next with 421 and closes. When ctx ends first, the
// rest is closed hard and the context's error returned.
func (srv *Server) Shutdown(ctx context.Context) error { return nil }

// Close closes listeners and connections at once.
func (srv *Server) Close() error { return nil }

// Limits: to be filled in; every field's zero value is its default.
type Limits struct {
	// MessageSize in bytes, announced as SIZE. Default 36 MiB (Exchange).
	MessageSize int64
}
