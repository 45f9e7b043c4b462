package routing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A Question describes a hypothetical message to one recipient, for
// Router.Explain.
type Question struct {
	From, To string            // the reverse-path, and the address of the recipient
	Size     int64             // in bytes
	Priority int               // as queue.MessageOptions.Priority
	Labels   map[string]string // MessageOptions.Labels, for functions that route by them (Router.Routed)
	System   bool              // a message of the queue itself, for example a report
	Origin   queue.Origin
	// Hosts looks up the hosts of the next hop in the DNS.
	Hosts bool
	// Probe connects to each address of each host. It sends EHLO and STARTTLS
	// and authenticates as for a delivery, but sends no mail. With Probe, the
	// hosts are also looked up, as with Hosts.
	Probe bool
}

// An Explanation is the routing decision for a Question, with the reasons.
type Explanation struct {
	Question Question
	// Candidates are all connectors of the table, in the order of use.
	// Connectors that do not match come last.
	Candidates []Candidate
	// Hop is the next hop of the message. It is the zero value if Err is set.
	Hop queue.NextHop
	// Held reports that the message would wait at the next hop. Until is the
	// time until which it would wait, or zero if the time is not known.
	Held  bool
	Until time.Time
	// Err is why the message has no route: the error that Route returns.
	Err error

	// Hosts are the hosts in the order in which one attempt tries them,
	// followed by the hosts that cannot be used. HostsErr is set if there are
	// none.
	Hosts    []ExplainedHost
	HostsErr error
	// TLS is the TLS level of the connector or the domain for these hosts.
	// Published policies (DANE, MTA-STS) can raise it.
	TLS string
	// Probes are the results of Question.Probe.
	Probes   []smtpclient.Probe
	ProbeErr error
}

// A Candidate is one connector in an Explanation.
type Candidate struct {
	Connector   string
	Space       string // the address space that matches; empty if none does
	Cost        int
	Eligibility Eligibility // Eligible, or why it cannot take the message
	Chosen      bool
	Reason      string // why it was chosen or not, as text
}

// An ExplainedHost is a host of the next hop. If Err is set, mail cannot be
// sent to it.
type ExplainedHost struct {
	smtpclient.Host
	Err error
}

// Explain returns the routing decision for a hypothetical message, and why. It
// takes into account which hops are down at the moment. It changes nothing.
func (r *Router) Explain(ctx context.Context, q Question) *Explanation {
	r.init()
	t := r.table()
	e := &Explanation{Question: q}
	m := q.message()
	e.Hop, e.Err = r.Route(ctx, m, &queue.Recipient{Addr: q.To})
	if domain, err := canonicalDomain(q.To); err == nil {
		r.candidates(e, t, m, domain)
	}
	c := t.byName[e.Hop.Connector]
	if e.Err != nil || c == nil {
		return e
	}
	e.Held, e.Until = r.held(c, e.Hop)
	if (q.Hosts || q.Probe) && c.byDNS() {
		r.explainHosts(ctx, e, c)
	}
	return e
}

// message returns the hypothetical message.
func (q *Question) message() *queue.Message {
	return &queue.Message{From: q.From, Options: queue.MessageOptions{Priority: q.Priority, Labels: q.Labels}, System: q.System, Origin: q.Origin, Content: ofSize(q.Size)}
}

// candidates lists every connector and the reasons for and against it.
func (r *Router) candidates(e *Explanation, t *Table, m *queue.Message, domain string) {
	seen := map[*connector]bool{}
	var winner *candidate // the chosen one's address space
	chosen := t.byName[e.Hop.Connector]
	t.matches(domain, func(match candidate) bool {
		if match.c == chosen {
			winner = &match
		}
		return winner == nil
	})
	var near *space     // as in Table.routes
	var last *candidate // of the connectors that are exclusive
	t.matches(domain, func(match candidate) bool {
		if !seen[match.c] {
			seen[match.c] = true
			k := r.candidate(match, m, domain, chosen, winner)
			if near != nil && !k.Chosen && k.Eligibility == Eligible && t.wouldLoop(match, near, domain) {
				k.Eligibility, k.Reason = WouldLoop, WouldLoop.String()
			}
			if last != nil && rank(match.space) < rank(last.space) && !k.Chosen {
				k.Eligibility, k.Reason = Excluded, fmt.Sprintf("%s is exclusive for %s", last.c.Name, last.space.text)
			}
			e.Candidates = append(e.Candidates, k)
		}
		if near == nil && match.c.inScope(m) {
			near = match.space
		}
		if last == nil && match.c.excludes(m) {
			last = &match
		}
		return true
	})
	for _, c := range t.connectors {
		if seen[c] {
			continue
		}
		k := Candidate{Connector: c.Name, Eligibility: c.eligibility(m), Chosen: c == chosen, Reason: "no address space matches"}
		switch {
		case c == chosen:
			k.Reason = "chosen by an agent"
		case c.RoutedOnly:
			k.Reason = "only for mail that is explicitly routed to it"
		case len(c.Spaces) == 0:
			k.Reason = "only used as a fallback"
		}
		e.Candidates = append(e.Candidates, k)
	}
}

func (r *Router) candidate(match candidate, m *queue.Message, domain string, chosen *connector, winner *candidate) Candidate {
	c := match.c
	k := Candidate{Connector: c.Name, Space: match.space.text, Cost: match.space.cost, Eligibility: c.eligibility(m), Chosen: c == chosen}
	hop := c.hop(m, domain)
	switch {
	case k.Eligibility != Eligible:
		k.Reason = k.Eligibility.String()
	case k.Chosen:
		k.Reason = "chosen"
		if r.down.has(hop) {
			k.Reason = "chosen, but recently unreachable: the next connector is tried first"
		}
	case r.down.has(hop):
		k.Reason = "recently unreachable"
	case winner == nil:
		k.Reason = "matches, but an agent chose another connector"
	case rank(match.space) < rank(winner.space):
		k.Reason = fmt.Sprintf("less specific than %s", winner.space.text)
	case match.space.cost > winner.space.cost:
		k.Reason = fmt.Sprintf("higher cost: %d instead of %d", match.space.cost, winner.space.cost)
	default:
		k.Reason = "equally specific and same cost, but its name is later in alphabetical order"
	}
	return k
}

// rank orders the address spaces that match one domain. A higher rank is more
// specific.
func rank(s *space) int {
	switch {
	case s.all:
		return 0
	case s.below:
		return 2 * len(s.domain)
	}
	return 2*len(s.domain) + 1
}

func (r *Router) explainHosts(ctx context.Context, e *Explanation, c *connector) {
	dst, second := r.destination(c, e.Hop)
	for _, d := range []*smtpclient.Destination{dst, second} {
		if d == nil {
			continue
		}
		var skipped []ExplainedHost
		ctx := context.WithValue(ctx, skippedKey{}, func(h ExplainedHost) { skipped = append(skipped, h) })
		hosts, err := d.Hosts(ctx)
		for _, h := range hosts {
			e.Hosts = append(e.Hosts, ExplainedHost{Host: h})
		}
		e.Hosts = append(e.Hosts, skipped...)
		e.HostsErr = cmp.Or(e.HostsErr, err)
		e.TLS = r.levelOf(d, c)
		if t, is := r.transport(c).(smtpTransport); is && e.Question.Probe && err == nil {
			fixed := *d
			fixed.Hosts = smtpclient.HostList(hosts...)
			probes, err := t.Probe(ctx, &fixed)
			e.Probes = append(e.Probes, probes...)
			e.ProbeErr = cmp.Or(e.ProbeErr, err)
		}
	}
}

// skippedKey is the context key of a function that receives the hosts that
// were skipped, and why.
type skippedKey struct{}

func reportSkipped(ctx context.Context, h smtpclient.Host, err error) {
	if tell, _ := ctx.Value(skippedKey{}).(func(ExplainedHost)); tell != nil {
		tell(ExplainedHost{h, err})
	}
}

// levelOf returns the name of the TLS level that applies to a destination.
func (r *Router) levelOf(d *smtpclient.Destination, c *connector) string {
	var level smtpclient.TLSLevel
	authenticates := d.Auth != nil
	if t, is := r.transport(c).(smtpTransport); is && t.Transport != nil {
		level = t.TLS.Level
		authenticates = (authenticates || t.Auth != nil) && !t.AllowInsecureAuth
	}
	if d.TLS != nil {
		level = d.TLS.Level
	}
	switch {
	case level != smtpclient.TLSDefault:
		return level.String()
	case authenticates:
		return smtpclient.TLSDomain.String()
	}
	return smtpclient.TLSOpportunistic.String()
}

// ofSize is a content that has only a size.
type ofSize int64

func (n ofSize) Size() int64 { return int64(n) }

func (ofSize) ReadAt([]byte, int64) (int, error) { return 0, errNoContent }

func (ofSize) WriteTo(io.Writer) (int64, error) { return 0, errNoContent }

var errNoContent = errors.New("routing: a hypothetical message has no content")
