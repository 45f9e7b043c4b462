package sched

// This file decides which connector gets the memory. The number of active
// messages is limited, and the connectors share it. The rest of a connector's
// mail stays in the store, hop by hop: these hops are congested.

// minQueued is the number of parts in memory that a hop which answers may have
// even if its connector has more than its share.
const minQueued = 4

// maxReleased is the maximum number of congested hops that are released before
// the next claim.
const maxReleased = 256

// congestion is a queue of congested hops. Hops in it that are not congested any
// more are skipped.
type congestion struct{ hops []*Hop }

// share returns the number of parts that each connector may have in memory. All
// shares together leave room for the mail of another connector.
func (s *Scheduler) share() int { return max(s.limits.Active*3/4/max(s.busy, 1), 1) }

// plenty reports whether so few messages are active that no connector needs a
// limit.
func (s *Scheduler) plenty() bool { return len(s.active)+s.reserved <= s.limits.Active/3 }

// hasRoom reports whether a part of m may be queued for a hop. It limits only
// the first part of a message: the others take little more memory.
func (s *Scheduler) hasRoom(m *Message, h *Hop) bool {
	if h.shared != nil && h.shared.keep > 0 && h.n >= h.shared.keep {
		return m.Probe == h
	}
	if m.left > 0 {
		return h.n < h.limits.Active
	}
	share, c := s.share(), h.connector
	switch {
	case h.n >= h.limits.Active:
		return false
	case m.Probe == h:
		return true // probes have a bound of their own: see probe
	case s.plenty():
		return true
	case !h.answers && c.trials >= max(share/2, 1):
		if h.n == 0 {
			s.displace(c)
		}
		return h.n == 0
	case !h.answers:
		return h.n < s.most(h)
	case h.n < minQueued:
		return c.queued-c.trials < share+share/4
	}
	return c.queued-c.trials < share && h.n < s.most(h)
}

// most returns the number of parts that a hop may have in memory.
func (s *Scheduler) most(h *Hop) int {
	share := s.share() / 2
	if !h.answers {
		share /= 4
	}
	if h.shared != nil && h.shared.keep > 0 {
		share = min(share, h.shared.keep)
	}
	return min(h.limits.Active, max(share, minQueued))
}

// displace makes room for a new hop: it puts the mail of the hop that has waited
// longest for a trial back to the store. If no hop waits for a trial, all of them
// are being tried. Those are few, so the new one needs no room of theirs.
func (s *Scheduler) displace(c *connector) {
	if h := c.rings[fresh].first; h != nil {
		s.congest(h)
		s.putBack(s.takeAll(h))
		s.ring(h)
	}
}

// congest leaves a hop's mail in the store until there is room.
func (s *Scheduler) congest(h *Hop) {
	h.congested = true
	s.hold(h)
	s.list(h)
	s.release(h.connector)
}

// list puts a congested hop into the list from which release takes it.
func (s *Scheduler) list(h *Hop) {
	if kind := kindOf(h); !h.listed[kind] {
		h.listed[kind] = true
		l := &h.connector.crowded[kind]
		l.hops = append(l.hops, h)
	}
}

func kindOf(h *Hop) int {
	if h.answers {
		return answering
	}
	return fresh
}

// relieve ends a hop's congestion when there is room for it again.
func (s *Scheduler) relieve(h *Hop) {
	if h.congested && h.n <= s.most(h)/2 {
		s.list(h)
	}
	s.release(h.connector)
}

// relaxed reports whether a connector has room for congested hops.
func (s *Scheduler) relaxed(c *connector, kind int) bool {
	if kind == fresh {
		return c.trials <= s.share()/4
	}
	return c.queued-c.trials <= s.share()/2
}

// release ends the congestion of hops, in the order of their lists, while their
// connector has room.
func (s *Scheduler) release(c *connector) {
	for kind := range c.crowded {
		l := &c.crowded[kind]
		for len(l.hops) > 0 && s.released < maxReleased && s.relaxed(c, kind) {
			h := l.hops[0]
			l.hops[0] = nil
			l.hops = l.hops[1:]
			h.listed[kind] = false
			if !h.congested || kindOf(h) != kind || h.n > s.most(h)/2 {
				continue // in the last case, relieve lists it again
			}
			h.congested = false
			s.released++
			s.hold(h)
		}
	}
}

// push, pop and takeAll change a hop's queue, and what is counted of it.
func (s *Scheduler) push(p *Part) {
	p.Hop.push(p)
	s.queued(p.Hop, 1)
}

func (s *Scheduler) pop(h *Hop) *Part {
	p := h.pop()
	s.queued(h, -1)
	return p
}

func (s *Scheduler) takeAll(h *Hop) *Part {
	n := h.n
	all := h.takeAll()
	s.queued(h, -n)
	return all
}

func (s *Scheduler) queued(h *Hop, n int) {
	c := h.connector
	before := c.queued > 0
	c.queued += n
	if !h.answers {
		c.trials += n
	}
	switch after := c.queued > 0; {
	case after && !before:
		s.busy++
	case before && !after:
		s.busy--
	}
}

// claimed releases more congested hops after a claim.
func (s *Scheduler) claimed(q *Query) {
	if q.Only != nil || q.ID != "" {
		return
	}
	capped := s.released >= maxReleased
	s.released = 0
	if capped {
		for _, c := range s.connectorList {
			s.release(c)
		}
	}
}
