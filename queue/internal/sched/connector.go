package sched

import "container/heap"

// A connector is the hops of one send connector. Connectors share the delivery
// slots max-min: a free slot goes to the connector that has the fewest. So a
// connector that needs less than its share gets all that it needs, and the
// others split the rest.
type connector struct {
	name   string
	hops   int // of these, so many are known
	queued int // parts that wait in memory
	trials int // of these, so many for hops that have not answered

	slots  int // attempts in progress
	trying int // of these, so many at hops that have not answered

	rings   [kinds]ring   // hops with parts that may be delivered now
	crowded [2]congestion // hops whose mail stays in the store: see kindOf

	served uint       // when its last turn was
	index  [kinds]int // its place in each order, -1 for none
}

// The kinds of hops that take turns.
const (
	answering = iota // it has answered
	fresh            // it has not answered yet
	probing          // it could not be reached the last time
	kinds
)

// An order is a heap of the connectors that have hops in the rings of one kind.
// The first is the connector with the fewest slots. Among several, it is the one
// that was served least recently.
type order struct {
	kind int
	list []*connector
}

func (o *order) Len() int { return len(o.list) }
func (o *order) Less(i, j int) bool {
	a, b := o.list[i], o.list[j]
	if x, y := a.share(o.kind), b.share(o.kind); x != y {
		return x < y
	}
	return a.served < b.served
}
func (o *order) Swap(i, j int) {
	o.list[i], o.list[j] = o.list[j], o.list[i]
	o.list[i].index[o.kind], o.list[j].index[o.kind] = i, j
}
func (o *order) Push(x any) {
	c := x.(*connector)
	c.index[o.kind] = len(o.list)
	o.list = append(o.list, c)
}
func (o *order) Pop() any {
	last := len(o.list) - 1
	c := o.list[last]
	o.list[last] = nil
	o.list = o.list[:last]
	c.index[o.kind] = -1
	return c
}

// first is the connector whose turn it is, nil if there is none.
func (o *order) first() *connector {
	if len(o.list) == 0 {
		return nil
	}
	return o.list[0]
}

// share returns the number of slots of a connector that counts in an order.
func (c *connector) share(kind int) int {
	if kind == answering {
		return c.slots
	}
	return c.trying
}

// arrange puts a connector where it belongs in all orders. It must be called
// after any change to its slots or rings.
func (s *Scheduler) arrange(c *connector) {
	for kind := range s.orders {
		o := &s.orders[kind]
		switch in, has := c.index[kind] >= 0, c.rings[kind].n > 0; {
		case in && has:
			heap.Fix(o, c.index[kind])
		case in:
			heap.Remove(o, c.index[kind])
		case has:
			heap.Push(o, c)
		}
	}
}

// connectorOf is the connector of a hop, new where there was none.
func (s *Scheduler) connectorOf(key Key) *connector {
	c := s.connectors[key.Connector]
	if c == nil {
		c = &connector{name: key.Connector, index: [kinds]int{-1, -1, -1}}
		for kind := range c.rings {
			c.rings[kind].kind = kind
		}
		s.connectors[key.Connector] = c
		s.connectorList = append(s.connectorList, c)
	}
	return c
}

// ring puts a hop into its ring, or takes it out. It must be called after each
// change to the result of Hop.ready.
func (s *Scheduler) ring(h *Hop) {
	var to *ring
	s.needShare(h)
	if h.ready() && !h.awaitSpan(s.now) && !s.awaitRate(h) && !s.awaitHost(h) {
		to = h.ring()
	}
	if h.in == to {
		return
	}
	s.unring(h)
	if to != nil {
		to.push(h)
		h.ringAt = s.now
		s.countRinged(h, 1)
		s.arrange(h.connector)
	}
}

// unring takes a hop out of its ring.
func (s *Scheduler) unring(h *Hop) {
	if h.in != nil {
		s.countRinged(h, -1)
		h.in.remove(h)
		h.row = 0
		s.arrange(h.connector)
		s.hostFreed(h.host)
	}
}

func (s *Scheduler) countRinged(h *Hop, n int) {
	if h.host != nil {
		h.host.ringed += n
	}
	s.ringed[h.in.kind] += n
}

// ring returns the ring for the hop's kind.
func (h *Hop) ring() *ring { return &h.connector.rings[h.kind()] }

func (h *Hop) kind() int {
	switch {
	case h.probing:
		return probing
	case !h.answers:
		return fresh
	}
	return answering
}

// hopsReady is how many hops take turns, trialsReady how many of them for
// trials.
func (s *Scheduler) hopsReady() int   { return s.ringed[answering] + s.trialsReady() }
func (s *Scheduler) trialsReady() int { return s.ringed[fresh] + s.ringed[probing] }
