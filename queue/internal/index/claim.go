package index

import (
	"math"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Claim leases messages by the rules of queue.Store.Claim and returns their slots.
func (x *Index[T]) Claim(c queue.Claim) []Slot {
	x.setClock(&c)
	now := nano(c.Now)
	if !c.Until.After(c.Now) {
		c.Until = c.Now.Add(1) // otherwise the loop below would claim the message again
	}
	if c.ID != "" {
		return x.claimID(c, now)
	}
	var taken []Slot
	most := max(c.Max, 1)
	take := func(l *lane) {
		for len(taken) < most {
			s := l.heap[0]
			if x.ready(x.At(s)) > now {
				return
			}
			x.Lease(s, c.Owner, c.Until)
			taken = append(taken, s)
		}
	}
	for n := range x.levels {
		if c.LeastUrgent {
			n = len(x.levels) - 1 - n
		}
		if c.Only != nil {
			if l := x.laneOf(*c.Only, n); l != nil {
				take(l)
			}
		} else {
			x.claimLevel(n, now, c.Except, func(l *lane) bool {
				// Take only one message of the earliest lane: then another
				// lane may be the earliest.
				s := l.heap[0]
				x.Lease(s, c.Owner, c.Until)
				taken = append(taken, s)
				return len(taken) < most
			})
		}
		if len(taken) >= most {
			break
		}
	}
	return taken
}

// laneOf returns the lane of a hop in a level, nil if there is none.
func (x *Index[T]) laneOf(hop queue.NextHop, level int) *lane {
	n := x.hops.find(hop)
	if n == 0 {
		return nil
	}
	return x.hops.extra(n).lanes[level]
}

// claimID leases the message with c.ID, also if it is not due.
func (x *Index[T]) claimID(c queue.Claim, now int64) []Slot {
	s, ok := x.Find(c.ID)
	if !ok || x.At(s).hidden {
		return nil
	}
	if e := x.At(s); e.owner != 0 && e.until > now && !x.LeasedBy(s, c.Owner) {
		return nil
	}
	x.Lease(s, c.Owner, c.Until)
	return []Slot{s}
}

// claimLevel calls take with the lane that has the earliest claimable message,
// and repeats this until take returns false or no lane has one. It skips the
// lanes of the hops in except: it takes them out of the level and puts them back
// at the end.
func (x *Index[T]) claimLevel(n int, now int64, except map[queue.NextHop]bool, take func(*lane) bool) {
	v := &x.levels[n]
	var aside []*lane
	defer func() {
		for _, l := range aside {
			l.pos = len(*v)
			*v = append(*v, l)
			x.laneMoved(uint8(n), l)
		}
	}()
	for len(*v) > 0 {
		l := (*v)[0]
		if x.ready(x.At(l.heap[0])) > now {
			return
		}
		if except[x.hops.key(l.hop)] {
			x.dropLane(uint8(n), l)
			aside = append(aside, l)
			continue
		}
		if !take(l) {
			return
		}
	}
}

// Next returns when Claim with the same c finds a message, the zero time if never.
// If a message is due already, the result is not after c.Now.
func (x *Index[T]) Next(c queue.Claim) time.Time {
	x.setClock(&c)
	next := int64(math.MaxInt64)
	found := false
	see := func(l *lane) {
		next = min(next, x.ready(x.At(l.heap[0])))
		found = true
	}
	if c.ID != "" {
		return x.nextOf(c)
	}
	for n := range x.levels {
		if c.LeastUrgent {
			n = len(x.levels) - 1 - n
		}
		if c.Only != nil {
			if l := x.laneOf(*c.Only, n); l != nil {
				see(l)
			}
			continue
		}
		x.levels[n].walk(0, func(l *lane) bool {
			if c.Except[x.hops.key(l.hop)] {
				return true
			}
			see(l)
			return false
		})
	}
	if !found {
		return time.Time{}
	}
	return nonZero(next)
}

// nextOf is Next for the message with c.ID.
func (x *Index[T]) nextOf(c queue.Claim) time.Time {
	s, ok := x.Find(c.ID)
	if !ok || x.At(s).hidden {
		return time.Time{}
	}
	if e := x.At(s); e.owner != 0 && !x.LeasedBy(s, c.Owner) {
		return nonZero(e.until)
	}
	return nonZero(1)
}

// nonZero returns the time for n. It is never the zero time, which would mean that
// no message waits.
func nonZero(n int64) time.Time {
	if n == 0 {
		n = 1
	}
	return Time(n)
}
