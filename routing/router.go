package routing

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A Router takes mail out: it chooses a connector for each recipient, finds
// the hosts and has them sent to. It is the queue.Deliverer of a relay, and a
// queue.Pacer. Table must be set; its other fields' zero values are defaults.
// The fields must not change once it is in use. It is safe for concurrent use.
type Router struct {
	// Table has the connectors, until SetTable gives others.
	Table *Table
	// Resolver asks the DNS, for connectors without one of their own.
	// Default: a DNSResolver with the servers of /etc/resolv.conf.
	Resolver Resolver
	// Hostname is our own name: in EHLO, and in MX records, where it means
	// that mail would come back. Default os.Hostname.
	Hostname string

	// NewTransport makes the SMTP transport of each connector that has none:
	// the place for what all should have in common, as MTA-STS and a protocol
	// log. Default one with Name, Hostname and Logger set.
	NewTransport func(connector string) *smtpclient.Transport

	// StrictMX leaves out MX hosts that are aliases (CNAME), which RFC 2181,
	// 10.3 forbids and many domains have.
	StrictMX bool
	// DownTime is how long a next hop that was unreachable is tried only for
	// mail that has no other way. Default 1 minute; negative: not at all.
	DownTime time.Duration

	// Routed is called when the way of one recipient has been chosen, and
	// returns it or another one, or refuses with a *smtp.SMTPError. Mail for a
	// connector that is not in the table waits. It must not wait itself.
	Routed func(ctx context.Context, m *queue.Message, rcpt *queue.Recipient, hop queue.NextHop) (queue.NextHop, error)
	// Categorized is called before each attempt to send, with a copy of the
	// message and of the recipients that go together, which it may change
	// for this attempt (header fields for the outside, rewritten addresses) as
	// long as number and order of the recipients stay. A *smtp.SMTPError
	// with a 5xx code fails them all, any other error defers them.
	Categorized func(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) error

	// Wake has the queue try the mail of matching hops now, and tells how many
	// messages wait there (-1 where it does not know). It is called when
	// somebody asks for held mail (ETRN, ATRN); without it that mail goes when
	// the queue next looks.
	Wake func(ctx context.Context, match func(queue.NextHop) bool) (messages int, err error)

	// Logger gets a line for each way that was found to be down, and for each
	// change of the table; nil is silent.
	Logger *slog.Logger

	current  atomic.Pointer[Table] // overrides Table
	down     downHops
	releases releases
	once     sync.Once // sets what follows from the fields
	resolver Resolver
	hostname string
	name     string // hostname in the form that domains are compared in

	mu      sync.RWMutex                     // guards what follows
	own     map[string]*smtpclient.Transport // of connectors without one, by name
	changed []func()                         // to be called by SetTable
}

const defaultDownTime = time.Minute

// Check implements queue.Checker: a Router needs a Table.
func (r *Router) Check() error {
	if r.current.Load() == nil && r.Table == nil {
		return errors.New("routing: Router.Table is not set")
	}
	return nil
}

func (r *Router) init() {
	r.once.Do(func() {
		if r.resolver = r.Resolver; r.resolver == nil {
			r.resolver = &DNSResolver{}
		}
		if r.hostname = r.Hostname; r.hostname == "" {
			r.hostname, _ = os.Hostname() // without one, EHLO says what the transport has
		}
		r.name, _ = addr.Domain(r.hostname)
	})
}

// SetTable changes the connectors while mail flows. Attempts in progress end
// the way they began. The queue tries the mail at once that waited for the old
// ones: that without a connector, and that whose connector or host was replaced
// (see queue.Queue.SettingsChanged). Mail that an agent or an operator has sent
// to a connector waits for one of that name. nil goes back to the field Table.
func (r *Router) SetTable(t *Table) {
	r.current.Store(t)
	t = r.table()
	r.mu.Lock()
	var gone []*smtpclient.Transport
	for name, transport := range r.own {
		if c := t.byName[name]; c == nil || c.Transport != nil {
			gone = append(gone, transport)
			delete(r.own, name)
		}
	}
	r.mu.Unlock()
	for _, transport := range gone {
		transport.Close()
	}
	if r.Logger != nil {
		r.Logger.Info("routing table changed", "connectors", t.Connectors())
	}
	r.mu.RLock()
	changed := r.changed
	r.mu.RUnlock()
	for _, f := range changed {
		f()
	}
}

// OnChange implements queue.Changer: SetTable calls changed.
func (r *Router) OnChange(changed func()) {
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

// Close ends the idle sessions of all connectors, and closes Transports that
// are io.Closers. It is for the end, after the queue's Shutdown.
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

// Route implements queue.Deliverer. It never waits for the network.
func (r *Router) Route(ctx context.Context, m *queue.Message, rcpt *queue.Recipient) (queue.NextHop, error) {
	return r.routed(ctx, r.table(), m, rcpt)
}

// routed is route, and what Routed says to that.
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

// route chooses the first way, also when it is down: the mail waits in its
// queue, and Deliver knows the others.
func (r *Router) route(t *Table, m *queue.Message, address string) (hop queue.NextHop, err error) {
	domain, err := canonicalDomain(address)
	if err != nil {
		return hop, badDomain(err)
	}
	found := false
	loss := t.ways(m, domain, func(way candidate) bool {
		hop, found = way.c.hop(m, domain), true
		return false
	})
	if !found {
		return hop, noWay(domain, loss)
	}
	return hop, nil
}

func badDomain(err error) *smtp.SMTPError {
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 3}, Message: "Bad recipient address: " + err.Error()}
}

// oversize marks the queue of messages that have a schedule of their own.
const oversize = " (oversize)"

// hop is the queue in which a connector's mail for a domain waits.
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
