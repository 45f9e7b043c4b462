package clustertest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/allot"
)

// Limits are limits that several nodes share, in memory. The zero value is ready. It is
// safe for concurrent use.
type Limits struct {
	mu     sync.Mutex            // guards all below, and the fields of the nodes
	nodes  map[string]*LimitNode // by name; the dead ones are not among them
	limits map[string]*limit     // by key
	counts map[countKey]float64
	born   int // nodes so far
}

// A limit is what is known of one key.
type limit struct {
	parts map[*LimitNode]*part
	next  time.Time // the first time of the rate that no node has got
}

// A part is what a node has of a limit, and what it wants.
type part struct {
	held, want, begins int
	served             time.Time // the end of the last time that it has got
}

// A countKey is a period of a count.
type countKey struct {
	key    string
	per    time.Duration
	period int64
	what   int // 0: messages, 1: recipients
}

// A LimitNode is one of the nodes that share Limits.
type LimitNode struct {
	limits   *Limits
	number   int // in the order of Node
	cut      bool
	lastSeen int // living nodes when it last had contact
}

var _ interface {
	queue.LimitSharer
	queue.CountSharer
} = (*LimitNode)(nil)

// turns is how long a node keeps the slots that are left when the rest is divided
// equally.
const turns = 5 * time.Second

// Node returns the node of that name. If it has died, it is a new one.
func (l *Limits) Node(name string) *LimitNode {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nodes == nil {
		l.nodes, l.limits, l.counts = map[string]*LimitNode{}, map[string]*limit{}, map[countKey]float64{}
	}
	n := l.nodes[name]
	if n == nil {
		l.born++
		n = &LimitNode{limits: l, number: l.born}
		l.nodes[name] = n
	}
	n.lastSeen = len(l.nodes)
	return n
}

// Cut cuts the contact of the node with the others, or gives it back.
func (n *LimitNode) Cut(cut bool) {
	n.limits.mu.Lock()
	defer n.limits.mu.Unlock()
	n.cut = cut
}

// Die ends the node: what it has is free.
func (l *Limits) Die(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.nodes[name]
	delete(l.nodes, name)
	for _, lim := range l.limits {
		delete(lim.parts, n)
	}
}

// contact returns an error if the node has none. The caller has the lock.
func (n *LimitNode) contact() error {
	for _, living := range n.limits.nodes {
		if living == n && !n.cut {
			n.lastSeen = len(n.limits.nodes)
			return nil
		}
	}
	return fmt.Errorf("%w: no route to host", queue.ErrUnavailable)
}

// Members implements queue.LimitSharer.
func (n *LimitNode) Members() int {
	n.limits.mu.Lock()
	defer n.limits.mu.Unlock()
	n.contact()
	return n.lastSeen
}

// ShareLimits implements queue.LimitSharer.
func (n *LimitNode) ShareLimits(_ context.Context, demands []queue.LimitDemand) ([]queue.LimitGrant, error) {
	n.limits.mu.Lock()
	defer n.limits.mu.Unlock()
	if err := n.contact(); err != nil {
		return nil, err
	}
	grants := make([]queue.LimitGrant, len(demands))
	for i := range demands {
		grants[i] = n.share(&demands[i], time.Now())
	}
	return grants, nil
}

// share answers one demand.
func (n *LimitNode) share(d *queue.LimitDemand, now time.Time) (g queue.LimitGrant) {
	l := n.limits.limits[d.Key]
	if l == nil {
		l = &limit{parts: map[*LimitNode]*part{}}
		n.limits.limits[d.Key] = l
	}
	if d.Have == 0 && d.Want == 0 && d.Begins == 0 {
		delete(l.parts, n)
		return g
	}
	p := l.parts[n]
	if p == nil {
		p = &part{}
		l.parts[n] = p
	}
	p.want, p.begins = d.Want, d.Begins
	g.Slots = l.slots(n, d.Slots, now)
	p.held = max(g.Slots, d.Have)
	if d.Begins > 0 && d.Rate > 0 {
		g.From, g.For = l.times(n, d.Rate, now)
	}
	return g
}

// slots returns how many slots a node gets.
func (l *limit) slots(n *LimitNode, limit int, now time.Time) int {
	nodes := l.inOrder(func(a, b *LimitNode) int { return a.number - b.number })
	wants, others := make([]int, len(nodes)), 0
	for i, o := range nodes {
		if wants[i] = l.parts[o].want; o != n {
			others += l.parts[o].held
		}
	}
	fair := allot.Slots(limit, wants, int(now.Unix()/int64(turns/time.Second)))
	return max(min(fair[slices.Index(nodes, n)], limit-others), 0)
}

// times returns the next times of a rate for a node.
func (l *limit) times(n *LimitNode, rate float64, now time.Time) (from, length time.Duration) {
	nodes := l.inOrder(func(a, b *LimitNode) int {
		return cmp.Or(l.parts[a].served.Compare(l.parts[b].served), a.number-b.number)
	})
	wants := make([]int, len(nodes))
	for i, o := range nodes {
		wants[i] = l.parts[o].begins
	}
	begin := now
	if l.next.After(now) {
		begin = l.next
	}
	got := allot.Times(rate, begin.Sub(now), wants, slices.Index(nodes, n))
	if got == 0 {
		return 0, 0
	}
	length = allot.Span(rate, got)
	l.next = begin.Add(length)
	l.parts[n].served = l.next
	return begin.Sub(now), length
}

// inOrder returns the nodes that have parts of l.
func (l *limit) inOrder(compare func(a, b *LimitNode) int) (nodes []*LimitNode) {
	for o := range l.parts {
		nodes = append(nodes, o)
	}
	slices.SortFunc(nodes, compare)
	return nodes
}

// AddCounts implements queue.CountSharer.
func (n *LimitNode) AddCounts(_ context.Context, counts []queue.SharedCount) ([]queue.SharedCount, error) {
	n.limits.mu.Lock()
	defer n.limits.mu.Unlock()
	if err := n.contact(); err != nil {
		return nil, err
	}
	totals := slices.Clone(counts)
	for i, c := range counts {
		totals[i].Messages = n.limits.count(c, 0, c.Messages)
		totals[i].Recipients = n.limits.count(c, 1, c.Recipients)
	}
	return totals, nil
}

// count adds to one number of a count, and returns its estimate.
func (l *Limits) count(c queue.SharedCount, what int, add float64) float64 {
	periods := float64(time.Now().UnixNano()) / float64(c.Per)
	present := countKey{c.Key, c.Per, int64(periods), what}
	before := present
	before.period--
	l.counts[present] += add
	return l.counts[before]*(1-(periods-math.Floor(periods))) + l.counts[present]
}
