package console

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
	"github.com/bridgehead-mail/bridgehead/policy/trace/pipetrace"
)

// A Console is an http.Handler that shows a relay and controls it. Gateway must
// be set. The fields must not change after the first call of a method.
//
// To serve it on an address or a socket of its own, add [Console.Run] to
// Gateway.Tasks, and the Console to Gateway.Parts, so that Gateway.Validate
// checks its settings. To serve it in a web server of the application, register
// it as the handler of a path that ends in "/".
type Console struct {
	// Gateway is the relay.
	Gateway *gateway.Gateway

	// Address is the TCP address on which Run listens, for example
	// "127.0.0.1:8025". An address that is not a loopback address needs
	// TLSConfig and Authorize.
	Address string
	// TLSConfig, if set, makes Run serve HTTPS on Address.
	TLSConfig *tls.Config
	// Socket is the path of a Unix socket on which Run listens, for commands.
	// Its directory must be accessible only for the user of the relay; Run
	// creates it if it does not exist. A client must have the user ID of the
	// relay or 0. It has the role Operator, and its user ID is its name. Only
	// Linux has it.
	Socket string
	// Prefix is the path under which the Console is registered, for example
	// "/relay". It is removed from the path of a request that begins with it.
	// It is not needed if http.StripPrefix or a proxy removes it.
	Prefix string

	// Authorize decides about each request that does not come from Socket. An
	// error refuses the request with 403 and is logged. If it is nil, a request
	// must have the token.
	Authorize func(*http.Request) (Access, error)
	// TokenFile is the path of a file with the token, a text of at least 22
	// letters, digits, '-' and '_'. Other users must not be able to read it
	// (mode 0600). Run creates it with a random token if it does not exist.
	// Default: a new random token at each start, which is passed to Print.
	TokenFile string
	// Print gets the URL of the console with its token, once, at start. It
	// must not write it to a log. Default: a line on the standard error. It is
	// not called if TokenFile or Authorize is set.
	Print func(url string)
	// Hosts are further names, with or without port, that the Host field of a
	// request may have, for example that of a proxy. The names of the loopback
	// addresses and that in Address are always accepted. If Authorize is set
	// and Hosts is empty, the Host field is not checked.
	Hosts []string

	// Candidate returns a routing table or accepted domains that are not in use.
	// The console shows what they would do with the mail in Gateway.Tracking: see
	// package compare. It is called for each comparison, so it can read a file. If
	// Candidate is nil or returns nil, nothing can be compared.
	Candidate func(context.Context) (*compare.Candidate, error)

	// Tracing, if set, is what starts and stops pipeline tracing. It must wrap the
	// agents and hooks of the relay.
	Tracing *pipetrace.Switch

	// HideSubjects hides the subjects of messages from viewers.
	HideSubjects bool
	// AuditDir is the folder of the audit log. Its files have a JSON object per
	// line. They are kept for one year, and for at most 250 MB in all. Default:
	// the changes are only logged, and the last 1000 are kept in memory.
	AuditDir string
	// Logger gets a line for each change, for the address of Run, and for each
	// error. Default: that of the Gateway. If there is none, nothing is logged.
	Logger *slog.Logger

	once     sync.Once // sets the fields below
	startErr error     // what setup failed with
	log      *slog.Logger
	token    token
	router   router
	pages    *templates
	audit    *auditLog
	bounds   bounds
	cross    *http.CrossOriginProtection
	live     sampler
	exporter *metrics.Exporter
}

// Inherit sets Logger if it is not set. A gateway.Gateway calls it before it
// runs.
func (c *Console) Inherit(d site.Defaults) { d.Fill(nil, &c.Logger) }

// setup makes the Console ready to serve. The first request or Run calls it.
func (c *Console) setup() error {
	c.once.Do(func() { c.startErr = c.prepare() })
	return c.startErr
}

func (c *Console) prepare() error {
	if err := c.Validate(); err != nil {
		return err
	}
	c.log = c.Logger
	if c.log == nil {
		c.log = c.Gateway.Logger
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.Print == nil {
		c.Print = func(url string) { fmt.Fprintln(os.Stderr, "console: open", url) }
	}
	if c.Authorize == nil {
		if err := c.token.load(c.TokenFile); err != nil {
			return fmt.Errorf("console: TokenFile: %w", err)
		}
	}
	c.cross = http.NewCrossOriginProtection()
	for _, host := range c.Hosts { // a proxy may replace the Host field
		for _, scheme := range []string{"https://", "http://"} {
			if err := c.cross.AddTrustedOrigin(scheme + host); err != nil {
				return fmt.Errorf("console: Hosts: %w", err)
			}
		}
	}
	c.exporter = &metrics.Exporter{Gateway: c.Gateway, Logger: c.log}
	c.audit = newAuditLog(c.AuditDir, c.log)
	c.bounds = newBounds()
	c.router = newRouter(routes())
	c.pages = newTemplates()
	c.keepDialogues()
	return nil
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if err := c.setup(); err != nil {
		http.Error(w, "The console is not configured correctly. The log of the relay has the details.", http.StatusInternalServerError)
		return
	}
	x := &call{console: c, w: w, r: r}
	if err := x.serve(); err != nil {
		x.fail(err)
	}
}
