package routing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Deliver implements queue.Deliverer. If no host of the hop can be reached, it
// immediately tries the next connector that matches.
//
// A hop that was set by queue.Recipient.Route can have an empty Connector. Its
// Destination is then a domain or an address literal, with or without a port,
// and the mail is routed as mail for that domain. If the Connector is not empty
// and delivers by DNS, Destination is also a domain or an address literal. If
// the Connector has smart hosts, it ignores Destination. If the Connector is
// not in the table or is disabled, mail that was explicitly routed to it waits;
// other mail is routed again.
func (r *Router) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	r.init()
	ctx = resolver.WithLogger(ctx, site.Debug(r.Logger, site.PartDNS))
	t := r.table()
	if c := t.byName[hop.Connector]; c == nil || c.Disabled {
		return r.reroute(ctx, t, hop, m, rcpts)
	}
	return r.deliver(ctx, t, hop, m, rcpts)
}

// reroute handles hops whose connector is not in the table, disabled or empty.
// Mail that an agent or an operator routed to a missing connector waits for
// it: mail for a quarantine must not reach the mailbox because the table has
// no quarantine connector.
func (r *Router) reroute(ctx context.Context, t *Table, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	r.grouped(ctx, rcpts, func(i int) (to queue.NextHop, ok bool) {
		var err error
		switch {
		case hop.Connector == "":
			to, err = r.redirect(t, m, hop.Destination)
		case rcpts[i].Route == hop:
			err = notInUse(t, hop.Connector)
		default:
			if to, err = r.routed(ctx, t, m, rcpts[i]); err == nil && to.Connector == "" {
				to, err = r.redirect(t, m, to.Destination)
			}
		}
		if err != nil {
			results[i] = errorResult(err)
		}
		return to, err == nil
	}, func(to queue.NextHop, group []int, rcpts []*queue.Recipient) []queue.Result {
		return put(results, group, r.deliver(ctx, t, to, m, rcpts))
	})
	return results
}

// notInUse returns the error for mail that waits for a connector, or nil if
// the connector can be used.
func notInUse(t *Table, connector string) error {
	problem := "is disabled"
	if c := t.byName[connector]; c == nil {
		problem = "is not in the routing table"
	} else if !c.Disabled {
		return nil
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 5},
		Message: fmt.Sprintf("Routed to connector %q, which %s", connector, problem)}
}

// redirect finds the hop for mail that a hook or an operator redirected to
// another domain or address. If the destination is wrong, the mail waits and
// does not fail.
func (r *Router) redirect(t *Table, m *queue.Message, destination string) (queue.NextHop, error) {
	ap, literally := splitAddrPort(destination)
	domain, err := literal(ap.Addr()), error(nil)
	if !literally {
		domain, err = hostName(destination)
	}
	var hop queue.NextHop
	if err == nil {
		hop, err = r.route(t, m, "@"+domain)
	}
	if err != nil {
		return hop, &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 5},
			Message: fmt.Sprintf("Redirected to %s, which cannot be routed: %s", destination, replyText(err))}
	}
	if literally && ap.Port() != 0 && t.byName[hop.Connector].perDomain() {
		hop.Destination = destination
	}
	return hop, nil
}

func unreachable(r queue.Result) bool { return r.Outcome == queue.Unreachable }

// waits reports whether an attempt was made and the recipient waits for the next.
func waits(r queue.Result) bool { return r.Outcome == queue.Deferred || unreachable(r) }

func busy(r queue.Result) bool { return r.Outcome == queue.Busy }

func pick(rcpts []*queue.Recipient, group []int) []*queue.Recipient {
	part := make([]*queue.Recipient, len(group))
	for k, i := range group {
		part[k] = rcpts[i]
	}
	return part
}

func put(results []queue.Result, group []int, from []queue.Result) []queue.Result {
	for k, i := range group {
		results[i] = from[k]
	}
	return from
}

// grouped groups the recipients by hop and calls each once per group, in the
// order of the groups' first recipients. each returns the results of the group.
// The queue gets them before the next group begins.
func (r *Router) grouped(ctx context.Context, rcpts []*queue.Recipient, hopOf func(i int) (queue.NextHop, bool),
	each func(hop queue.NextHop, group []int, rcpts []*queue.Recipient) []queue.Result) {
	groups := make(map[queue.NextHop][]int)
	var order []queue.NextHop
	for i := range rcpts {
		hop, ok := hopOf(i)
		if !ok {
			continue
		}
		if groups[hop] == nil {
			order = append(order, hop)
		}
		groups[hop] = append(groups[hop], i)
	}
	for k, hop := range order {
		part := pick(rcpts, groups[hop])
		results := each(hop, groups[hop], part)
		if k < len(order)-1 {
			queue.Progress(ctx, part, results)
		}
	}
}

// attempt delivers the mail by one connector.
func (r *Router) attempt(ctx context.Context, c *connector, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	if r.Categorized != nil {
		originals := rcpts
		m, rcpts = copyOf(m, rcpts)
		ctx = withOriginals(ctx, rcpts, originals)
		n := len(rcpts)
		if err := r.Categorized(ctx, hop, m, rcpts); err != nil {
			return sameResults(n, errorResult(err))
		}
	}
	if c.Hold {
		// Check only once: if the reverse session ends in between, this must not
		// become an ordinary delivery. A client that uses ATRN may have no host.
		switch asked, session := r.releases.has(hop, time.Now()); {
		case !asked:
			return sameResults(len(rcpts), notRequested())
		case session != nil:
			return session.deliver(ctx, &Job{Hop: hop, Message: m, Recipients: rcpts})
		}
	}
	results := r.viaHosts(ctx, c, hop, m, rcpts)
	if c.Hold && slices.ContainsFunc(results, waits) {
		r.releases.fail(hop)
	}
	return results
}

// viaHosts delivers the mail to the connector's own hosts.
func (r *Router) viaHosts(ctx context.Context, c *connector, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	dst, second := r.destination(c, hop)
	job := &Job{Hop: hop, Message: m, Recipients: rcpts, Destination: dst}
	if second == nil {
		return r.send(ctx, c, c.withSender(job))
	}
	results := r.send(ctx, c, job)
	if ctx.Err() != nil {
		return results
	}
	all := rcpts
	r.grouped(ctx, rcpts, func(i int) (queue.NextHop, bool) { return hop, unreachable(results[i]) && !refusedTLS(&results[i]) },
		func(hop queue.NextHop, group []int, rcpts []*queue.Recipient) []queue.Result {
			queue.Progress(ctx, all, results)
			job := &Job{Hop: hop, Message: m, Recipients: rcpts, Destination: second}
			return put(results, group, r.send(ctx, c, c.withSender(job)))
		})
	return results
}

func (r *Router) send(ctx context.Context, c *connector, job *Job) []queue.Result {
	results := r.transport(c).Deliver(ctx, job)
	if len(results) != len(job.Recipients) { // a fault of an application's Transport
		return sameResults(len(job.Recipients), errorResult(fmt.Errorf("connector %s: %d results for %d recipients",
			c.Name, len(results), len(job.Recipients))))
	}
	for i := range results {
		c.applyErrorPolicy(&results[i])
	}
	return results
}

// errorResult is the result for an error of this relay.
func errorResult(err error) queue.Result {
	result := queue.Result{Outcome: queue.Deferred, Err: err,
		Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Local error in delivery"}}
	var reply *smtp.SMTPError
	if errors.As(err, &reply) {
		result.Reply = *reply
		if reply.Code >= 500 {
			result.Outcome = queue.Failure
		}
	}
	return result
}

// copyOf copies a message and its recipients, so that a hook can change them
// for one attempt.
func copyOf(m *queue.Message, rcpts []*queue.Recipient) (*queue.Message, []*queue.Recipient) {
	mc := *m
	mc.Options.Labels = maps.Clone(m.Options.Labels)
	rc := make([]*queue.Recipient, len(rcpts))
	for i, rcpt := range rcpts {
		c := *rcpt
		rc[i] = &c
	}
	return &mc, rc
}

// withOriginals returns a context in which queue.Progress translates copies of
// recipients to the originals, which the queue knows. The hook may have replaced
// a copy by another one at the same place.
func withOriginals(ctx context.Context, copies, originals []*queue.Recipient) context.Context {
	of := sync.OnceValue(func() map[*queue.Recipient]*queue.Recipient {
		of := make(map[*queue.Recipient]*queue.Recipient, len(copies))
		for i, c := range copies {
			of[c] = originals[i]
		}
		return of
	})
	ctx = context.WithValue(ctx, originalsKey{}, of)
	return queue.WithProgress(ctx, func(rcpts []*queue.Recipient, results []queue.Result) {
		queue.Progress(ctx, originalsOf(ctx, rcpts), results)
	})
}

type originalsKey struct{}

// originalsOf returns the recipients that the queue knows, for those of a Job.
func originalsOf(ctx context.Context, rcpts []*queue.Recipient) []*queue.Recipient {
	of, ok := ctx.Value(originalsKey{}).(func() map[*queue.Recipient]*queue.Recipient)
	if !ok {
		return rcpts
	}
	known := make([]*queue.Recipient, len(rcpts))
	for i, r := range rcpts {
		known[i] = of()[r]
	}
	return known
}

// destination returns where a connector's mail for a hop is sent. second is
// the alternative if first cannot be reached (DirectFirst), or nil.
func (r *Router) destination(c *connector, hop queue.NextHop) (first, second *smtpclient.Destination) {
	name, _ := cutOversize(hop.Destination)
	if !c.byDNS() {
		return &smtpclient.Destination{Name: name}, nil
	}
	var smart *smtpclient.Destination
	if len(c.hosts) > 0 {
		smart = &smtpclient.Destination{Name: c.place(c.hostsName, smtpPort), Hostname: r.hostname, Connector: c.Name, TLS: c.TLS, Auth: c.Auth,
			Hosts: func(ctx context.Context) ([]smtpclient.Host, error) {
				return r.finder(c, smtpPort).smartHosts(ctx, c)
			}}
		if !c.DirectFirst {
			return smart, nil
		}
	}
	port := uint16(smtpPort)
	if c.Port != 0 {
		port = uint16(c.Port)
	}
	d := &smtpclient.Destination{Name: c.place(name, port), Domain: name, Hostname: r.hostname, Connector: c.Name, TLS: c.tlsFor(name)}
	if smart == nil {
		d.Auth = c.Auth
	}
	d.Hosts = func(ctx context.Context) ([]smtpclient.Host, error) {
		if ap, ok := splitAddrPort(name); ok && ap.Port() != 0 {
			return r.finder(c, ap.Port()).literal(literal(ap.Addr()))
		}
		hosts, err := r.finder(c, port).domain(ctx, name)
		if smart != nil && err != nil {
			err = fmt.Errorf("direct delivery: %s", err) // not permanent: the smart hosts are tried next
		}
		return hosts, err
	}
	return d, smart
}

// place returns the name of a destination in the pool of a Transport that
// several connectors share. The name includes the port and the Resolver's
// connector, because they lead to different hosts.
func (c *connector) place(name string, port uint16) string {
	name += portSuffix(port)
	if c.Resolver != nil {
		name += " by " + c.Name
	}
	return name
}

func cutOversize(destination string) (string, bool) { return strings.CutSuffix(destination, oversize) }

func (r *Router) finder(c *connector, port uint16) *finder {
	f := &finder{resolver: c.Resolver, port: port, strict: r.StrictMX}
	if f.resolver == nil {
		f.resolver = r.resolver
	}
	site := &r.table().site
	f.isName = func(name string) bool { return name == r.name || site.hasName(name) }
	f.isAddr = site.hasAddr
	return f
}

// transport returns the connector's Transport, or one that the router makes.
func (r *Router) transport(c *connector) Transport {
	if c.Transport != nil {
		return c.Transport
	}
	r.mu.RLock()
	own := r.own[c.Name]
	r.mu.RUnlock()
	if own == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if own = r.own[c.Name]; own == nil {
			if r.own == nil {
				r.own = make(map[string]*smtpclient.Transport)
			}
			if r.NewTransport != nil {
				own = r.NewTransport(c.Name)
			} else {
				own = &smtpclient.Transport{Name: c.Name, Hostname: r.hostname, Logger: r.Logger}
			}
			r.inherited.Inherit(own)
			r.own[c.Name] = own
			r.live.use(own)
		}
	}
	return SMTP(own)
}
