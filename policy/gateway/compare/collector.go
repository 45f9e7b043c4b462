package compare

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A collector counts the changes, by domain. Its memory has a bound: limit domains,
// of maxChanges changes with [Examples] examples each.
type collector struct {
	limit   int
	domains map[string]*tally
	other   *tally // all other domains; nil if there are none

	messages     int64
	compared     Count
	unchanged    Count
	totals       map[Kind]*Count
	since, until time.Time
}

// maxChanges is the maximum number of different changes of one domain. Others are
// counted with a change of the same kind.
const maxChanges = 20

// maxText is the maximum length of a text of an example, and of the name of a
// domain.
const maxText = 320

// A tally has the counts of one domain.
type tally struct {
	unchanged Count
	changes   []*Change
}

func newCollector(domains int) *collector {
	return &collector{limit: domains, domains: make(map[string]*tally), totals: make(map[Kind]*Count)}
}

// span extends the span of time of the lines.
func (c *collector) span(t time.Time) {
	if c.since.IsZero() || t.Before(c.since) {
		c.since = t
	}
	if t.After(c.until) {
		c.until = t
	}
}

// add counts the decisions about m.To. What would be refused with both settings is
// not counted by domain: strangers choose these domains.
func (c *collector) add(m *mail, domain string, before, after Decision) {
	kind := kindOf(before, after)
	c.compared.add(m.Size)
	if kind == "" {
		c.unchanged.add(m.Size)
		if before.Acceptance == notAccepted {
			return
		}
	}
	t := c.tally(domain)
	if kind == "" {
		t.unchanged.add(m.Size)
		return
	}
	if c.totals[kind] == nil {
		c.totals[kind] = new(Count)
	}
	c.totals[kind].add(m.Size)
	t.change(kind, before, after).add(m)
}

// tally returns the counts of a domain.
func (c *collector) tally(domain string) *tally {
	domain = domain[:min(len(domain), maxText)]
	if t := c.domains[domain]; t != nil {
		return t
	}
	if len(c.domains) >= c.limit {
		if c.other == nil {
			c.other = new(tally)
		}
		return c.other
	}
	t := new(tally)
	c.domains[strings.Clone(domain)] = t
	return t
}

// change returns the counts of one change.
func (t *tally) change(kind Kind, before, after Decision) *Change {
	var same *Change
	for _, ch := range t.changes {
		if ch.Kind != kind {
			continue
		}
		if same = ch; ch.Before == before && ch.After == after {
			return ch
		}
	}
	if same != nil && len(t.changes) >= maxChanges {
		return same
	}
	ch := &Change{Kind: kind, Before: before.clone(), After: after.clone(), Examples: []Example{}}
	t.changes = append(t.changes, ch)
	return ch
}

// clone returns a decision that does not share memory with a line of the log.
func (d Decision) clone() Decision {
	d.Destination, d.Reason = strings.Clone(d.Destination), strings.Clone(d.Reason)
	return d
}

func (ch *Change) add(m *mail) {
	ch.Count.add(m.Size)
	if len(ch.Examples) == Examples {
		return
	}
	text := func(s string) string { return strings.Clone(s[:min(len(s), maxText)]) }
	e := m.entry
	ch.Examples = append(ch.Examples, Example{Time: e.Time, ID: text(e.ID), MessageID: text(e.MessageID),
		Sender: text(e.Sender), Recipient: text(m.To), Client: text(m.Client), Connector: text(m.Connector)})
}

// result returns the counts: the domains with the most mail that changes first.
func (c *collector) collected() *Result {
	r := &Result{Since: c.since, Until: c.until, Messages: c.messages, Compared: c.compared, Unchanged: c.unchanged,
		Domains: []Domain{}, Totals: []Total{}}
	for _, k := range Kinds() {
		if n := c.totals[k]; n != nil {
			r.Totals = append(r.Totals, Total{k, *n})
		}
	}
	for name, t := range c.domains {
		if len(t.changes) == 0 {
			r.UnchangedDomains++
			continue
		}
		r.Domains = append(r.Domains, t.domain(name))
	}
	slices.SortFunc(r.Domains, func(a, b Domain) int {
		return cmp.Or(cmp.Compare(b.Changed.Recipients, a.Changed.Recipients), strings.Compare(a.Name, b.Name))
	})
	if c.other != nil {
		other := c.other.domain("(other domains)")
		r.Other = &other
	}
	return r
}

// domain returns the result of a domain: its most serious changes first.
func (t *tally) domain(name string) Domain {
	d := Domain{Name: name, Unchanged: t.unchanged, Changes: make([]Change, len(t.changes))}
	for i, ch := range t.changes {
		d.Changes[i] = *ch
		d.Changed.Recipients += ch.Recipients
		d.Changed.Bytes += ch.Bytes
	}
	order := Kinds()
	slices.SortStableFunc(d.Changes, func(a, b Change) int {
		return cmp.Or(slices.Index(order, a.Kind)-slices.Index(order, b.Kind), cmp.Compare(b.Recipients, a.Recipients))
	})
	return d
}
