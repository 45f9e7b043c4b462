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

// A Question is a hypothetical message to one recipient: which way would it
// go?
type Question struct {
	From, To string
	Size     int64
	Priority int
	System   bool
	Origin   queue.Origin
	// Hosts looks the next hop's hosts up in the DNS.
	Hosts bool
	// Probe connects to each address of each host, says EHLO and STARTTLS and
	// authenticates as for mail, but sends none. It includes Hosts.
	Probe bool
}

// An Explanation is the decision on a Question, with every reason for it.
type Explanation struct {
	Question Question
	// Candidates are all connectors of the table, in the order in which they
	// would serve, those that would not last.
	Candidates []Candidate
	// Hop is where the message would go now; the zero value where Err is set.
	Hop queue.NextHop
	// Held says that it would wait there, and Until when if that is known.
	Held  bool
	Until time.Time
	// Err is why there is no way: what Route would return.
	Err error

	// Hosts are the hosts in order, as one attempt would try them, and then
	// those that it could not use. HostsErr is why there are none.
	Hosts    []ExplainedHost
	HostsErr error
	// TLS is the connector's or domain's TLS level for them; what the hosts
	// publish (DANE, MTA-STS) may raise it.
	TLS string
	// Probes are what came of connecting.
	Probes   []smtpclient.Probe
	ProbeErr error
}

// A Candidate is a connector's part in an Explanation.
type Candidate struct {
	Connector string
	Space     string // the address space that fits; empty where none does
	Cost      int
	Loss      Loss // Eligible, or what bars the message from it
	Chosen    bool
	Reason    string // why it was chosen or not, in words
}

// An ExplainedHost is a host that mail would be sent to, or why it cannot.
type ExplainedHost struct {
	smtpclient.Host
	Err error
}

// Explain decides on a message that need not exist, and says why. It changes
// nothing; what is down at the moment is taken into account.
func (r *Router) Explain(ctx context.Context, q Question) *Explanation {
	r.init()
	t := r.table()
	e := &Explanation{Question: q}
	m := &queue.Message{From: q.From, Priority: q.Priority, System: q.System, Origin: q.Origin, Content: ofSize(q.Size)}
	e.Hop, e.Err = r.Route(ctx, m, &queue.Recipient{Addr: q.To})
	if domain, err := canonicalDomain(q.To); err == nil {
		r.candidates(e, t, m, domain)
	}
	c := t.byName[e.Hop.Connector]
	if e.Err != nil || c == nil {
		return e
	}
	e.Held, e.Until = r.held(c, e.Hop, time.Now())
	if (q.Hosts || q.Probe) && c.byDNS() {
		r.explainHosts(ctx, e, c)
	}
	return e
}

// candidates lists every connector and what speaks for and against it.
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
	var near *space     // as in Table.ways
	var last *candidate // of the connectors that are exclusive
	t.matches(domain, func(match candidate) bool {
		if !seen[match.c] {
			seen[match.c] = true
			k := r.candidate(match, m, domain, chosen, winner)
			if near != nil && !k.Chosen && k.Loss == Eligible && t.leadsBack(match, near, domain) {
				k.Loss, k.Reason = LeadsBack, LeadsBack.String()
			}
			if last != nil && rank(match.space) < rank(last.space) && !k.Chosen {
				k.Loss, k.Reason = Excluded, fmt.Sprintf("%s is exclusive for %s", last.c.Name, last.space.text)
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
		k := Candidate{Connector: c.Name, Loss: c.admits(m), Chosen: c == chosen, Reason: "no address space of it fits"}
		switch {
		case c == chosen:
			k.Reason = "an agent chose it"
		case c.RoutedOnly:
			k.Reason = "only for mail that is sent its way"
		case len(c.Spaces) == 0:
			k.Reason = "only a fallback"
		}
		e.Candidates = append(e.Candidates, k)
	}
}

func (r *Router) candidate(match candidate, m *queue.Message, domain string, chosen *connector, winner *candidate) Candidate {
	c := match.c
	k := Candidate{Connector: c.Name, Space: match.space.text, Cost: match.space.cost, Loss: c.admits(m), Chosen: c == chosen}
	hop := c.hop(m, domain)
	switch {
	case k.Loss != Eligible:
		k.Reason = k.Loss.String()
	case k.Chosen:
		k.Reason = "chosen"
		if r.down.has(hop) {
			k.Reason = "chosen, but unreachable a moment ago: the next serves in its place, if it can"
		}
	case r.down.has(hop):
		k.Reason = "unreachable a moment ago"
	case winner == nil:
		k.Reason = "fits, but an agent chose another"
	case rank(match.space) < rank(winner.space):
		k.Reason = fmt.Sprintf("less specific than %s", winner.space.text)
	case match.space.cost > winner.space.cost:
		k.Reason = fmt.Sprintf("costs more: %d instead of %d", match.space.cost, winner.space.cost)
	default:
		k.Reason = "as specific and as cheap, but later by name"
	}
	return k
}

// rank orders the spaces that fit one domain: the higher the more specific.
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
		e.TLS = levelOf(d, c)
		if t, is := r.transport(c).(smtpTransport); is && e.Question.Probe && err == nil {
			fixed := *d
			fixed.Hosts = smtpclient.HostList(hosts...)
			probes, err := t.Probe(ctx, &fixed)
			e.Probes = append(e.Probes, probes...)
			e.ProbeErr = cmp.Or(e.ProbeErr, err)
		}
	}
}

// skippedKey is the context key of a function that is told which hosts were
// left out, and why.
type skippedKey struct{}

func tellSkipped(ctx context.Context, h smtpclient.Host, err error) {
	if tell, _ := ctx.Value(skippedKey{}).(func(ExplainedHost)); tell != nil {
		tell(ExplainedHost{h, err})
	}
}

// levelOf is the name of the TLS level that applies to a destination.
func levelOf(d *smtpclient.Destination, c *connector) string {
	var level smtpclient.TLSLevel
	authenticates := d.Auth != nil
	t, is := c.Transport.(smtpTransport)
	if is {
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

// ofSize is a content that only has a size.
type ofSize int64

func (n ofSize) Size() int64 { return int64(n) }

func (ofSize) ReadAt([]byte, int64) (int, error) { return 0, errNoContent }

func (ofSize) WriteTo(io.Writer) (int64, error) { return 0, errNoContent }

var errNoContent = errors.New("routing: a hypothetical message has no content")
