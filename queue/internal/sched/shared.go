package sched

import "time"

// This file has the limits of a hop that apply to all nodes of a cluster together: see
// queue.LimitSharer. The node asks for its part in the background: about once a second
// for all hops, and soon for a hop that needs more.
//
//   - Slots: the number of attempts that may be in progress. A hop begins none beyond
//     its slots.
//   - Spans: times in which only this node may begin attempts. Within a span, the
//     attempts keep the rate as they do without a cluster.
//
// A hop whose mail waits here while other nodes could deliver it gives it back: see
// trim.

// shared is the state of a hop whose limits are shared.
type shared struct {
	slots  int
	peak   int    // the most attempts that could have been in progress since the last round
	spans  []span // in order; the first may be over
	wanted Demand // the last demand that was answered
	listed bool   // in Scheduler.sharing
	urgent bool   // in Scheduler.urgent

	next   time.Time // when it may begin the next span without an answer: see NotShared
	ended  int       // attempts since the last Trim
	waited bool      // parts waited here at the last Trim
	keep   int       // how many parts may wait here; 0 is no limit
}

// A span is a time in which this node may begin attempts.
type span struct{ from, until time.Time }

// A Demand is what this node needs of the limits of a hop: see queue.LimitDemand.
type Demand struct {
	Hop               *Hop
	Slots, Have, Want int
	Rate              float64
	Begins            int
}

// A Grant is the answer to a Demand: see queue.LimitGrant.
type Grant struct {
	Slots     int
	From, For time.Duration
}

const (
	// spanAhead is how long before the end of its last span a hop asks for the next.
	spanAhead = 1500 * time.Millisecond
	// keepLeast is how many parts may wait here for a hop, however slow it is.
	keepLeast = 16
)

// ShareLimits makes all hops share their limits, except some.
func (s *Scheduler) ShareLimits(except ...Key) {
	s.shares = true
	s.unshared = except
}

// usable is how many attempts the hop may have in progress, besides what its Pacer says.
func (h *Hop) usable() int {
	if h.shared == nil {
		return h.window
	}
	return min(h.window, h.shared.slots)
}

// most is how many attempts the hop may ever have in progress.
func (h *Hop) most() int {
	if h.maxConcurrency > 0 {
		return min(h.limits.Concurrency, h.maxConcurrency)
	}
	return h.limits.Concurrency
}

// mostShared is how many of them there may be on all nodes.
func (h *Hop) mostShared() int {
	if h.perNode {
		return h.limits.Concurrency
	}
	return h.most()
}

// awaitSpan reports whether the hop must wait for a span, and sets notBefore to the
// begin of the next one, if it has one.
func (h *Hop) awaitSpan(now time.Time) bool {
	if h.shared == nil || h.limits.Rate <= 0 {
		return false
	}
	spans := h.shared.spans
	for len(spans) > 0 && !now.Before(spans[0].until) {
		spans = spans[1:]
	}
	if h.shared.spans = spans; len(spans) == 0 {
		return true
	}
	if spans[0].from.After(now) {
		h.notBefore = later(h.notBefore, spans[0].from)
	}
	return false
}

// demand returns what the node needs for a hop.
func (h *Hop) demand(now time.Time) Demand {
	d := Demand{Hop: h, Slots: h.mostShared(), Rate: h.limits.Rate}
	d.Want = min(max(h.inflight+h.n, h.shared.peak), h.most(), max(2*h.window, h.inflight))
	d.Have = max(h.inflight, min(h.shared.slots, d.Want))
	if d.Rate > 0 && h.n > 0 {
		h.awaitSpan(now) // drops what is over
		if n := len(h.shared.spans); n == 0 || h.shared.spans[n-1].until.Sub(now) < spanAhead {
			d.Begins = h.n
		}
	}
	return d
}

func (d *Demand) empty() bool { return d.Have == 0 && d.Want == 0 && d.Begins == 0 }

// needShare makes the driver ask for a part of the limits if the hop needs more than it has
// asked for, or can give back what another node may wait for.
func (s *Scheduler) needShare(h *Hop) {
	if h.shared == nil || h.shared.urgent {
		return
	}
	h.shared.peak = max(h.shared.peak, h.inflight+h.n)
	d := h.demand(s.now)
	was := &h.shared.wanted
	more := d.Want > was.Want && d.Want > h.shared.slots || d.Begins > 0 && was.Begins == 0
	less := d.Have < was.Have && was.Have > h.shared.slots
	if !more && !less {
		return
	}
	s.listShared(h)
	h.shared.urgent = true
	if s.urgent = append(s.urgent, h); len(s.urgent) == 1 {
		s.decide(Decision{Kind: Share})
	}
}

// listShared has a hop asked for at each round.
func (s *Scheduler) listShared(h *Hop) {
	if !h.shared.listed {
		h.shared.listed = true
		s.sharing = append(s.sharing, h)
	}
}

// gap is the time between two attempts at a rate.
func gap(rate float64) time.Duration { return time.Duration(float64(time.Second) / rate) }

// Demands returns what the driver must ask for now, at most most demands: for all hops
// that need something, or only for those that need it soon. Until the answer, the hops
// do not use more than they have demanded to have.
func (s *Scheduler) Demands(now time.Time, all bool, most int) []Demand {
	s.now = now
	hops := s.urgent
	if all {
		hops = s.sharing
	}
	for _, h := range s.urgent {
		h.shared.urgent = false
	}
	s.urgent = s.urgent[:0:0]
	demands := make([]Demand, 0, min(len(hops), most))
	for _, h := range hops[:min(len(hops), most)] {
		d := h.demand(now)
		h.shared.slots = min(h.shared.slots, d.Have)
		if all {
			h.shared.peak = h.inflight + h.n
		}
		demands = append(demands, d)
	}
	return demands
}

// Shared notes the answer to demands.
func (s *Scheduler) Shared(now time.Time, demands []Demand, grants []Grant) {
	s.now = now
	for i := range demands {
		d, g, h := &demands[i], &grants[i], demands[i].Hop
		h.shared.wanted, h.shared.slots = *d, g.Slots
		if g.For > 0 {
			// The next span, of whichever node, begins one gap after the last
			// attempt of this one, or half a gap if that is late.
			from := now.Add(g.From)
			h.shared.spans = append(h.shared.spans, span{from, from.Add(g.For - gap(d.Rate)/2)})
		}
		s.ring(h)
	}
	s.unlist(func(h *Hop) bool { d := h.demand(now); return h.shared.wanted.empty() && d.empty() })
	s.kick()
}

// unlist takes the hops out of the list for which done returns true.
func (s *Scheduler) unlist(done func(*Hop) bool) {
	left := s.sharing[:0]
	for _, h := range s.sharing {
		if h.shared.listed = h.shared.urgent || !done(h); h.shared.listed {
			left = append(left, h)
		} else {
			h.used, h.shared.slots = s.now, 0
		}
	}
	clear(s.sharing[len(left):])
	s.sharing = left
}

// NotShared notes that hops have had no answer for long. Each gets what part returns of
// its slots, and one of nodes parts of its rate. The hops are those after the first
// skip.
func (s *Scheduler) NotShared(now time.Time, skip, nodes int, part func(limit, nodes int) int) {
	s.now = now
	for _, h := range s.sharing[min(skip, len(s.sharing)):] {
		h.shared.slots = max(h.shared.slots, part(h.mostShared(), nodes))
		if rate := h.limits.Rate; rate > 0 && h.n > 0 && h.awaitSpan(now) && !now.Before(h.shared.next) {
			every := max(time.Second, time.Duration(nodes)*gap(rate))
			n := max(int(every.Seconds()*rate/float64(nodes)), 1)
			h.shared.spans = append(h.shared.spans, span{now, now.Add(time.Duration(n)*gap(rate) - gap(rate)/2)})
			h.shared.next = now.Add(every)
		}
		s.ring(h)
	}
	s.kick()
}

// EndShares returns the demands with which the node gives everything back, and forgets
// what it has.
func (s *Scheduler) EndShares() (demands []Demand) {
	for _, h := range s.sharing {
		demands = append(demands, Demand{Hop: h, Slots: h.mostShared(), Rate: h.limits.Rate})
		h.shared.slots, h.shared.spans = 0, nil
	}
	return demands
}

// loseShares notes that all that the node has is void.
func (s *Scheduler) loseShares() {
	for _, h := range s.sharing {
		h.shared.slots, h.shared.spans, h.shared.wanted = 0, nil, Demand{}
		s.ring(h)
	}
}

// Trim puts the parts back to the store that wait here for long, so that other nodes can
// deliver them. A hop keeps what it delivers in about two seconds, and some more. It
// keeps all if it has fewer slots than it wants: then other nodes have mail for the hop
// too, and its limit holds the mail of all nodes back. The driver calls Trim about once a
// second if there are other nodes.
func (s *Scheduler) Trim(now time.Time) {
	s.now = now
	for _, h := range s.sharing {
		waited, ended := h.shared.waited, h.shared.ended
		h.shared.waited, h.shared.ended, h.shared.keep = h.n > 0, 0, 0
		if !waited || h.n == 0 {
			continue // it has not been measured for a whole second
		}
		if h.shared.slots < h.shared.wanted.Want {
			continue
		}
		least := keepLeast
		if h.perNode { // another node may have a connection for it, while this one's is dead
			least = minQueued
		}
		h.shared.keep = max(least, 4*h.usable(), 2*ended)
		if h.n > h.shared.keep {
			s.putBack(s.takeBeyond(h, h.shared.keep))
			s.ring(h)
		}
	}
}

// takeBeyond takes the parts out of a hop's queue that come after the first keep.
func (s *Scheduler) takeBeyond(h *Hop, keep int) *Part {
	var kept partList
	for range keep {
		kept.push(s.pop(h))
	}
	rest := s.takeAll(h)
	for p := kept.pop(); p != nil; p = kept.pop() {
		s.push(p)
	}
	return rest
}
