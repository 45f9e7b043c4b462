package routing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/internal/wall"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A Router delivers mail. It chooses a connector for each recipient, finds the
// hosts and sends the message to them. It implements queue.Deliverer and
// queue.Pacer. Table must be set; the zero values of the other fields are
// defaults. Do not change the fields after the first use. A Router is safe for
// concurrent use.
type Router struct {
	// Table has the connectors. SetTable replaces it.
	Table *Table
	// Resolver looks up names for connectors that have no Resolver. The default
	// is that of the gateway.Gateway. If there is none, it is a DNSResolver
	// with the servers of /etc/resolv.conf.
	Resolver Resolver
	// Hostname is the host name of this relay. It is used in EHLO. An MX host
	// with this name is this relay, so mail to it would loop. The default is
	// that of the gateway.Gateway. If there is none, it is the result of
	// os.Hostname.
	Hostname string

	// NewTransport makes the SMTP transport of a connector that has none. Use
	// it for settings that all connectors share, for example MTA-STS or a
	// protocol log. It must not return nil. The default makes a transport with
	// Name, Hostname and Logger.
	NewTransport func(connector string) *smtpclient.Transport

	// StrictMX ignores MX hosts whose name is an alias (CNAME). RFC 2181, 10.3
	// forbids such MX records, but many domains have them.
	StrictMX bool
	// DownTime is how long a next hop counts as down after it was unreachable.
	// During this time it gets only mail for which no other connector is
	// available. The default is 1 minute. A negative value disables this.
	DownTime time.Duration

	// Routed is called when the next hop of one recipient has been chosen. It
	// returns hop or another next hop, or refuses with a *smtp.SMTPError: a 5xx
	// code fails the recipient, and any other error defers it. Mail for a
	// connector that is not in the table or is disabled waits. Routed must not
	// block.
	Routed func(ctx context.Context, m *queue.Message, rcpt *queue.Recipient, hop queue.NextHop) (queue.NextHop, error)
	// Categorized is called before each attempt, with copies of the message
	// and of the recipients that are sent together. It can change the copies
	// for this attempt, for example to rewrite addresses or header fields. It
	// must keep the number and the order of the recipients. A *smtp.SMTPError
	// with a 5xx code fails all recipients; any other error defers them.
	Categorized func(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) error

	// Wake makes the queue immediately try the mail of all next hops for which
	// match returns true. It returns the number of messages that wait there, or
	// -1 if the number is not known. The Router calls it when a client requests
	// held mail (ETRN, ATRN). If it is nil, the mail is sent when the queue
	// checks the next hop again. See WakeQueue.
	Wake func(ctx context.Context, match func(queue.NextHop) bool) (messages int, err error)

	// Logger receives a record for each next hop that is found to be
	// unreachable, and for each change of the table. The default is that of the
	// gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger
	// Clock is for the tests of this module: they set the wall clock, which
	// schedules follow. The default is the clock of the system.
	Clock *wall.Clock

	current  atomic.Pointer[Table] // if not nil, used instead of Table
	down     downHops
	releases releases
	live     liveTransports
	once     sync.Once // sets the next three fields
	resolver Resolver
	hostname string
	name     string // hostname in canonical form

	mu        sync.RWMutex                     // guards the fields below
	own       map[string]*smtpclient.Transport // for connectors without a Transport, by name
	changed   []func()                         // called by SetTable
	inherited site.Defaults                    // for transports
}

const defaultDownTime = time.Minute

// Check implements queue.Checker. It returns an error that names each setting that
// can never work: a Table that is not set, settings of a transport that
// NewTransport makes, or a connector that needs answers that its Resolver never
// has. At the level smtpclient.TLSDANE, the answers must be authenticated by
// DNSSEC, and StrictMX needs a Resolver that reports aliases. Check also checks the
// settings of each DNSResolver.
func (r *Router) Check() error {
	errs := []error{settings.Join("routing: Router.", settings.OptionalTime("DownTime", r.DownTime))}
	if r.Hostname != "" {
		if _, err := addr.Domain(r.Hostname); err != nil {
			errs = append(errs, fmt.Errorf("routing: Router.Hostname %q is not a host name", r.Hostname))
		}
	}
	if r.current.Load() == nil && r.Table == nil {
		errs = append(errs, errors.New("routing: Router.Table is not set"))
	}
	if err := errors.Join(append(errs, r.checkTransports(r.table()))...); err != nil {
		return err
	}
	return r.checkResolvers(r.table())
}

// checkTransports checks the transports that NewTransport makes. NewTable has
// checked those of the connectors.
func (r *Router) checkTransports(t *Table) error {
	if r.NewTransport == nil {
		return nil
	}
	var errs []error
	for _, c := range t.connectors {
		if c.Transport != nil {
			continue
		}
		made, _ := r.transport(c).(smtpTransport)
		if made.Transport == nil {
			errs = append(errs, fmt.Errorf("routing: connector %q: Router.NewTransport returned nil", c.Name))
		} else if err := made.ValidateFor(&smtpclient.Destination{TLS: c.TLS, Auth: c.Auth}); err != nil {
			errs = append(errs, fmt.Errorf("routing: connector %q: Router.NewTransport: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Router) init() {
	r.once.Do(func() {
		if r.resolver = r.Resolver; r.resolver == nil {
			r.resolver = &DNSResolver{}
		}
		if r.hostname = r.Hostname; r.hostname == "" {
			r.hostname, _ = os.Hostname() // if this fails, EHLO uses the transport's name
		}
		r.name, _ = addr.Domain(r.hostname)
		r.live.replace(r.table().smtpTransports())
	})
}

// SetTable replaces the connectors while the relay runs. Attempts in progress
// continue with the old settings. The queue then immediately retries mail that
// had no connector, and mail whose connector or host was replaced (see
// queue.Queue.SettingsChanged). Mail that an agent or an operator routed to a
// connector waits until the table has a connector of that name. If t is nil,
// the Router uses the field Table again.
func (r *Router) SetTable(t *Table) {
	if t != nil {
		r.inherit(t)
	}
	r.current.Store(t)
	t = r.table()
	r.mu.Lock()
	var gone []*smtpclient.Transport
	used := t.smtpTransports()
	for name, transport := range r.own {
		if c := t.byName[name]; c == nil || c.Transport != nil {
			gone = append(gone, transport)
			delete(r.own, name)
		} else {
			used = append(used, transport)
		}
	}
	r.live.replace(used)
	r.mu.Unlock()
	for _, transport := range gone {
		transport.Close()
	}
	if r.Logger != nil {
		r.Logger.Info("routing table changed", "connectors", t.Connectors())
		if err := r.checkResolvers(t); err != nil {
			r.Logger.Error("routing table cannot work", "err", err)
		}
	}
	r.mu.RLock()
	changed := r.changed
	r.mu.RUnlock()
	for _, f := range changed {
		f()
	}
}

// OnChange implements queue.Changer. It adds a function that SetTable calls. nil
// adds nothing.
func (r *Router) OnChange(changed func()) {
	if changed == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = append(r.changed, changed)
}

func (r *Router) table() *Table {
	if t := r.current.Load(); t != nil {
		return t
	}
	if r.Table != nil {
		return r.Table
	}
	return &Table{}
}

// Close closes the idle sessions of all connectors, and each Transport that is
// an io.Closer. Call it after the Shutdown of the queue.
func (r *Router) Close() error {
	r.mu.Lock()
	own := r.own
	r.own = nil
	r.mu.Unlock()
	var errs []error
	for _, t := range own {
		errs = append(errs, t.Close())
	}
	for _, c := range r.table().connectors {
		if closer, is := c.Transport.(io.Closer); is {
			errs = append(errs, closer.Close())
		}
	}
	return errors.Join(errs...)
}

// Route implements queue.Deliverer. It chooses the next hop without network
// access.
func (r *Router) Route(ctx context.Context, m *queue.Message, rcpt *queue.Recipient) (queue.NextHop, error) {
	return r.routed(ctx, r.table(), m, rcpt)
}

// routed calls route, and then Routed if it is set.
func (r *Router) routed(ctx context.Context, t *Table, m *queue.Message, rcpt *queue.Recipient) (queue.NextHop, error) {
	chosen, err := r.route(t, m, rcpt.Addr)
	if err != nil || r.Routed == nil {
		return chosen, err
	}
	hop, err := r.Routed(ctx, m, rcpt, chosen)
	if err == nil && hop != chosen && hop.Connector != "" {
		err = notInUse(t, hop.Connector)
	}
	return hop, err
}

// route chooses the first hop, even if it is down: the mail waits in the queue
// of that hop, and Deliver finds the alternatives.
func (r *Router) route(t *Table, m *queue.Message, address string) (hop queue.NextHop, err error) {
	domain, err := canonicalDomain(address)
	if err != nil {
		return hop, badDomain(err)
	}
	var chosen candidate
	reason := t.routes(m, domain, func(route candidate) bool {
		chosen = route
		return false
	})
	log := site.Debug(r.Logger, site.PartRouting)
	if chosen.c == nil {
		if log != nil {
			log.Debug("no route", slog.String("id", m.ID), slog.String("to", address), slog.String("reason", reason.String()))
		}
		return hop, noConnector(domain, reason)
	}
	hop = chosen.c.hop(m, domain)
	if log != nil {
		log.Debug("route", slog.String("id", m.ID), slog.String("to", address), slog.String("connector", chosen.c.Name),
			slog.String("hop", hop.Destination), slog.String("space", chosen.space.String()), slog.Int("cost", chosen.space.cost))
	}
	return hop, nil
}

func badDomain(err error) *smtp.SMTPError {
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 3}, Message: "Bad recipient address: " + err.Error()}
}

// oversize is the suffix of the queue for messages that OversizeSchedule
// applies to.
const oversize = " (oversize)"

// hop returns the queue in which a connector's mail for a domain waits.
func (c *connector) hop(m *queue.Message, domain string) queue.NextHop {
	h := queue.NextHop{Connector: c.Name, Destination: domain}
	switch {
	case !c.byDNS():
		h.Destination = c.Name
	case len(c.hosts) > 0 && !c.DirectFirst:
		h.Destination = c.hostsName
	}
	if c.OversizeSchedule != nil && sizeOf(m) > c.OversizeSize {
		h.Destination += oversize
	}
	return h
}
