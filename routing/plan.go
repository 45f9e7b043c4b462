package routing

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// PlanRoutes returns the decisions of a table before it is used (SetTable), for
// package compare in policy/gateway. If t is nil, they are those of the table in
// use. The hosts that are down at the moment and the mail that clients have
// requested (ETRN, ATRN) have no influence on a plan. t must be a *Table.
func (r *Router) PlanRoutes(t site.RoutingTable) (site.RoutePlan, error) {
	r.init()
	table, is := t.(*Table)
	switch {
	case t == nil || is && table == nil:
		table = r.table()
	case !is:
		return nil, fmt.Errorf("routing: a %T is not a routing table", t)
	}
	p := &plan{r: r, t: table, known: make(map[planKey]planned)}
	p.findProperties()
	return p, nil
}

// A plan implements site.RoutePlan.
type plan struct {
	r *Router
	t *Table
	// The properties of a message that the connectors of the table look at.
	senders, networks, receivers, identities, priorities, system bool
	sizes                                                        []int64 // limits, in ascending order

	known map[planKey]planned // decisions that were made before; at most maxPlanned
}

// maxPlanned is the maximum number of decisions that a plan remembers.
const maxPlanned = 20000

// A planKey has the properties of a message that its route depends on. Those that
// no connector looks at are zero.
type planKey struct {
	domain                             string // as written
	sender, client, receiver, identity string
	sizes                              int // how many limits the message exceeds
	priority                           Priorities
	system                             bool
}

// planned is the decision of the table.
type planned struct {
	hop queue.NextHop
	err error
}

// findProperties finds what the connectors look at.
func (p *plan) findProperties() {
	for _, c := range p.t.connectors {
		p.senders = p.senders || c.scope != nil || c.accept != nil || c.refuse != nil
		p.networks = p.networks || len(c.Scope.Networks) > 0
		p.receivers = p.receivers || len(c.receivers) > 0
		p.identities = p.identities || len(c.identities) > 0
		p.priorities = p.priorities || c.Priorities != 0
		p.system = p.system || c.SystemMessages != SystemAllowed
		for _, size := range []int64{c.MaxMessageSize, c.OversizeSize} {
			if size > 0 {
				p.sizes = append(p.sizes, size)
			}
		}
	}
	slices.Sort(p.sizes)
	p.sizes = slices.Compact(p.sizes)
}

// key returns the properties of m that matter.
func (p *plan) key(m *queue.Message, to string) (k planKey) {
	_, k.domain = addr.Split(to)
	if p.senders {
		k.sender = m.From
	}
	if p.networks {
		k.client = m.Origin.ClientAddr
	}
	if p.receivers {
		k.receiver = m.Origin.Connector
	}
	if p.identities {
		k.identity = m.Origin.Identity
	}
	if p.priorities {
		k.priority = priorityOf(m)
	}
	k.system = p.system && m.System
	size := sizeOf(m)
	k.sizes = sort.Search(len(p.sizes), func(i int) bool { return size <= p.sizes[i] })
	return k
}

// PlanRoute implements site.RoutePlan.
func (p *plan) PlanRoute(ctx context.Context, mail site.Mail) site.PlannedRoute {
	q := questionOf(&mail.Question)
	m := q.message()
	k := p.key(m, q.To)
	decision, known := p.known[k]
	if !known {
		decision.hop, decision.err = p.r.route(p.t, m, q.To)
		if len(p.known) >= maxPlanned {
			clear(p.known) // the cost of a reset is one decision for each key
		}
		k.domain, k.sender = strings.Clone(k.domain), strings.Clone(k.sender) // they may be parts of a long line
		p.known[k] = decision
	}
	if p.r.Routed != nil && decision.err == nil {
		decision = p.routed(ctx, m, q.To, decision.hop)
	}
	if decision.err != nil {
		return site.PlannedRoute{Outcome: outcomeOf(decision.err), Reason: replyText(decision.err)}
	}
	return p.at(decision.hop, mail.Time)
}

// routed calls Router.Routed, which can choose another next hop.
func (p *plan) routed(ctx context.Context, m *queue.Message, to string, chosen queue.NextHop) (d planned) {
	d.hop, d.err = p.r.Routed(ctx, m, &queue.Recipient{Addr: to}, chosen)
	switch {
	case d.err != nil || d.hop == chosen:
	case d.hop.Connector != "":
		d.err = notInUse(p.t, d.hop.Connector)
	default:
		d.hop, d.err = p.r.redirect(p.t, m, d.hop.Destination)
	}
	return d
}

// at returns what a next hop does with its mail at a time.
func (p *plan) at(hop queue.NextHop, t time.Time) site.PlannedRoute {
	d := site.PlannedRoute{Outcome: site.Sent, Connector: hop.Connector, Destination: hop.Destination}
	c := p.t.byName[hop.Connector]
	switch {
	case c == nil:
	case c.Hold:
		d.Outcome, d.Reason = site.Waits, "until a client requests it"
	case c.OnDemand:
		d.Outcome, d.Reason = site.Waits, "until an operator requests it"
	case !c.scheduleFor(hop).Open(t):
		d.Outcome, d.Reason = site.Waits, "outside the schedule of the connector"
	}
	return d
}

// Unknown implements site.RoutePlan.
func (p *plan) Unknown() (notes []string) {
	if p.identities {
		notes = append(notes, "A connector has Scope.Identities. The message tracking log does not have the identities of clients, so such a connector takes no mail here.")
	}
	if p.r.Routed != nil {
		notes = append(notes, "Router.Routed was called for each recipient, with what the message tracking log has: without the content and the parameters of MAIL and RCPT.")
	}
	return notes
}
