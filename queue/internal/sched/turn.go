package sched

import "time"

// Which hop's turn it is. A hop with parts that may be delivered is in one of
// two rings, and the hops of a ring take turns: so each gets its share,
// whatever waits behind the others. Rules for fair shares belong into this
// file.

// nextPart takes a part from the hop whose turn it is, by turns from both rings.
func (s *Scheduler) nextPart(now time.Time) (p *Part, probe bool) {
	if s.delivering >= s.limits.Deliveries {
		return nil, false
	}
	s.probeNext = !s.probeNext
	if s.probeNext {
		p, probe = s.nextProbe(now), true
	}
	if p == nil {
		p, probe = s.nextOf(now, &s.ready), false
	}
	if p == nil {
		p, probe = s.nextProbe(now), true
	}
	if p != nil {
		s.delivering++
		if probe {
			s.probing++
		}
	}
	return p, probe
}

// nextProbe is the next part for a hop that could not be reached the last time.
// Those have half of all deliveries at most, since most of them will wait in
// vain, and long.
func (s *Scheduler) nextProbe(now time.Time) *Part {
	if s.mayProbe() <= 0 {
		return nil
	}
	return s.nextOf(now, &s.probes)
}

// mayProbe is how many more probes may begin.
func (s *Scheduler) mayProbe() int { return max(s.limits.Deliveries/2, 1) - s.probing }

// nextOf takes a part from the first hop of a ring.
func (s *Scheduler) nextOf(now time.Time, r *ring) *Part {
	for r.n > 0 {
		h := r.first()
		if !h.ready() || h.in != s.ringOf(h) {
			r.pop()
			s.ring(h) // into the other one, perhaps
			continue
		}
		if h.limits.Rate > 0 || s.limits.Rate > 0 {
			if s.notBefore.After(now) {
				s.wakeAt(s.notBefore)
				return nil
			}
			if h.notBefore.After(now) {
				r.pop()
				s.timers.set(h, soonest(h.nextLook(), h.notBefore))
				s.wakeAt(h.notBefore)
				continue
			}
		}
		p := h.pop()
		if p.Msg.ordered {
			s.endOrdered(now, p)
			continue
		}
		h.notBefore, s.notBefore = slot(now, h.limits.Rate), slot(now, s.limits.Rate)
		h.inflight++
		p.requests, p.asks, p.Fails = h.requests, s.asked, h.fails
		if h.ready() {
			r.turn()
		} else {
			r.pop()
		}
		s.relieve(h)
		return p
	}
	return nil
}

// slot is when the next attempt may begin after one at now.
func slot(now time.Time, rate float64) time.Time {
	if rate <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(float64(time.Second) / rate))
}

// endOrdered ends a part without an attempt, since an operator wants something
// else done with its message.
func (s *Scheduler) endOrdered(now time.Time, p *Part) {
	for range p.Recipients {
		p.Msg.Wait(p.Hop.Key, now, now)
	}
	s.watch(now, p.Hop) // another may be the probe, if this was to be one
	s.Ended(p.Msg)
}

// enqueue puts a part into its hop's queue.
func (s *Scheduler) enqueue(p *Part) {
	h := p.Hop
	h.push(p)
	h.expected = false
	if h.probing {
		s.hold(h)
	}
	s.ring(h)
	s.kick()
}

// ring puts a hop that is ready into its ring.
func (s *Scheduler) ring(h *Hop) {
	if h.in == nil && h.ready() {
		s.ringOf(h).push(h)
	}
}

// ringOf is the ring that a hop belongs to.
func (s *Scheduler) ringOf(h *Hop) *ring {
	if h.probing {
		return &s.probes
	}
	return &s.ready
}

// putBack has parts put back to the store without an attempt.
func (s *Scheduler) putBack(p *Part) {
	if p == nil {
		return
	}
	for back := p; back != nil; back = back.next {
		back.Hop.returning++
	}
	s.decide(Decision{Kind: Return, Part: p})
}
