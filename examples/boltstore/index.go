package boltstore

import (
	"context"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// An entry is what the index knows about a message. Store.mu guards it.
type entry struct {
	queue.Entry
	loaded bool // the schedule was read from the database, not set since
	busy   bool // Update or Remove is writing
}

// ready returns when the message can be claimed, by the clock of c.Now: when
// it is due and its lease has ended.
func (e *entry) ready(c queue.Claim) time.Time {
	s := e.Schedule
	due := s.Due
	if s.Wait == 0 && !due.IsZero() && !c.Wall.IsZero() {
		due = due.Add(c.Now.Sub(c.Wall)) // a time of the wall clock
	}
	if s.Owner != "" && s.Until.After(due) {
		return s.Until
	}
	return due
}

// selects reports whether c asks for messages with the hop of e.
func selects(c queue.Claim, e *entry) bool {
	return (c.Only == nil || *c.Only == e.Schedule.Hop) && !c.Except[e.Schedule.Hop]
}

// lease leases up to n messages for c and returns them in order. It looks at
// each message of the index, so a claim takes longer the more messages wait.
func (s *Store) lease(c queue.Claim, n int) []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check(c.Now)
	var found []*entry
	if c.ID != "" {
		e := s.index[c.ID]
		if e != nil && !e.busy && (e.Schedule.Owner == "" || e.Schedule.Owner == c.Owner || !e.Schedule.Until.After(c.Now)) {
			found = append(found, e)
		}
	} else {
		for _, e := range s.index {
			if !e.busy && selects(c, e) && !e.ready(c).After(c.Now) {
				found = append(found, e)
			}
		}
	}
	slices.SortFunc(found, func(a, b *entry) int {
		if p := priority(b) - priority(a); p != 0 {
			if c.LeastUrgent {
				return -p
			}
			return p
		}
		return a.ready(c).Compare(b.ready(c))
	})
	found = found[:min(n, len(found))]
	for _, e := range found {
		e.Schedule.Owner, e.Schedule.Until = c.Owner, c.Until
	}
	return found
}

// priority returns the priority in the range of MT-PRIORITY (RFC 6710).
func priority(e *entry) int { return max(-9, min(9, e.Priority)) }

// next returns when the first of the messages that c selects is ready. A
// message that is ready already counts as ready now: the zero time would mean
// that none waits.
func (s *Store) next(c queue.Claim) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check(c.Now)
	var first time.Time
	for _, e := range s.index {
		if !selects(c, e) {
			continue
		}
		t := e.ready(c)
		if t.IsZero() {
			t = c.Now
		}
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first
}

// check looks once for messages that wait longer than Schedule.Wait because
// the clock was set back while the store was closed. They are due.
func (s *Store) check(now time.Time) {
	if s.checked {
		return
	}
	s.checked = true
	for _, e := range s.index {
		sc := &e.Schedule
		if e.loaded && sc.Wait > 0 && sc.Due.Add(-sc.Wait).After(now.Add(time.Minute)) {
			sc.Due, sc.Wait = time.Time{}, 0
		}
	}
}

// acquire returns the entry of a message that owner has leased, and keeps
// other calls from changing it until release.
func (s *Store) acquire(ctx context.Context, owner, id string) (*entry, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		e := s.index[id]
		switch {
		case e == nil:
			return nil, queue.ErrNotFound
		case e.busy:
			s.idle.Wait()
		case e.Schedule.Owner == "" || e.Schedule.Owner != owner:
			return nil, queue.ErrLeaseLost
		default:
			e.busy = true
			return e, nil
		}
	}
}

// release ends acquire. It calls change, which may change the index.
func (s *Store) release(e *entry, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	e.busy = false
	s.idle.Broadcast()
}

// forget removes e from the index.
func (s *Store) forget(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index[e.ID] == e {
		delete(s.index, e.ID)
	}
}

// Hops implements [queue.Store].
func (s *Store) Hops(ctx context.Context) ([]queue.HopSum, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sums := make(map[queue.NextHop]*queue.HopSum)
	for _, e := range s.index {
		hop, ready := e.Schedule.Hop, e.ready(queue.Claim{})
		h := sums[hop]
		if h == nil {
			h = &queue.HopSum{Hop: hop, Due: ready, Oldest: e.Received}
			sums[hop] = h
		}
		h.Count++
		h.Bytes += e.Size
		if ready.Before(h.Due) {
			h.Due = ready
		}
		if e.Received.Before(h.Oldest) {
			h.Oldest = e.Received
		}
	}
	var hs []queue.HopSum
	for _, h := range sums {
		hs = append(hs, *h)
	}
	return hs, nil
}
