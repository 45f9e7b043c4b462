package sched

import "time"

const (
	// claimMost is how many messages are claimed at a time.
	claimMost = 256
	// heartbeat is how often the loop claims when no event wakes it. It then
	// finds mail that other nodes have put into a shared store.
	heartbeat = time.Minute
	// soon is the wait after something failed for lack of room or because of
	// the store.
	soon = 5 * time.Second
	// mendFirst and mendMost are the first and the longest wait before the
	// store is tried again.
	mendFirst = time.Second
	mendMost  = time.Minute
)

// claimNow makes the loop claim without waiting.
func (s *Scheduler) claimNow() {
	s.claimAt = time.Unix(0, 0)
	s.wake = true
}

// claimAtLatest makes the loop claim at time t or earlier.
func (s *Scheduler) claimAtLatest(t time.Time) {
	if t.IsZero() {
		t = time.Unix(0, 0) // at once
	}
	if s.claimAt.IsZero() || t.Before(s.claimAt) {
		s.claimAt = t
		s.wakeAt(t)
	}
}

// reserve makes a query for a claim, and reserves places for at most most
// messages.
func (s *Scheduler) reserve(now time.Time, most int) (q *Query, ok bool) {
	room := min(most, s.limits.Active-s.limits.Active/8-len(s.active)-s.reserved) // the rest is for new mail
	if room <= 0 {
		s.full = true
		return nil, false
	}
	s.reserved += room
	return &Query{Max: room, Now: now, Until: now.Add(s.limits.Lease)}, true
}

// unreserve gives up n reserved places.
func (s *Scheduler) unreserve(n int) {
	s.reserved -= n
	s.roomAgain()
}

// roomAgain makes the loop claim when a quarter of all places is free after
// there was none.
func (s *Scheduler) roomAgain() {
	if s.full && len(s.active)+s.reserved <= s.limits.Active*3/4 {
		s.full = false
		s.claimNow()
	}
}

// claim returns the next claim of due messages for any hop, if it is time.
func (s *Scheduler) claim(now time.Time) (*Query, bool) {
	due := Reached(s.claimAt, now) || now.Sub(s.claimedAt) >= heartbeat
	if s.idle() || s.full || !due {
		return nil, false
	}
	s.claimedAt, s.claimAt = now, time.Time{}
	s.claims++
	size := claimMost
	least := s.claims%8 == 0 // so that urgent mail does not starve the rest
	if least {
		size = claimMost / 4
	}
	q, ok := s.reserve(now, size)
	if !ok {
		return nil, false
	}
	q.LeastUrgent = least
	return q, true
}

// admit makes a message active, unless the driver has stopped or drains.
func (s *Scheduler) admit(now time.Time, m *Message) bool {
	if before := s.active[m.ID]; before != nil {
		// Its record was released a moment ago, and is not forgotten yet; or
		// the lease ran out while it was still active.
		before.reclaim = true
		s.memory -= m.Size
		s.noProbe(now, m)
		return true
	}
	if !s.running || s.drained {
		s.memory -= m.Size
		s.noProbe(now, m)
		return false
	}
	s.active[m.ID] = m
	s.leases.add(m)
	if !s.suspected(now, m) {
		s.incoming.push(m)
		s.kick()
	}
	return true
}

// dueClaimed plans the next claim of what is due for any hop, after one that
// brought n messages.
func (s *Scheduler) dueClaimed(now time.Time, q *Query, n int, next time.Time, failed bool) {
	switch {
	case failed:
		s.claimAtLatest(now.Add(mendMost))
	case n == q.Max:
		s.claimAtLatest(now) // there may be more
	case !next.IsZero():
		if n == 0 && !next.After(now) {
			next = now.Add(time.Second) // another node was quicker, or the store errs
		}
		s.claimAtLatest(next)
	}
}

// hold updates the set of hops whose mail stays in the store. It must be called
// after each change to the result of Hop.held.
func (s *Scheduler) hold(h *Hop) {
	if h.held() == h.inHeld {
		return
	}
	s.heldNew++
	if h.inHeld = !h.inHeld; h.inHeld {
		s.held[h.Key] = true
		return
	}
	delete(s.held, h.Key)
	s.claimNow() // its mail may be claimed again
}
