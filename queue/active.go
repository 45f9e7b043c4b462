package queue

import (
	"time"
)

// An active is a message in hand: leased, in memory, on its way. Its parts
// are delivered independently of each other; what became of them is recorded
// in the store by one goroutine at a time, the owner of recording.
type active struct {
	m     *Message
	owner string // of its lease
	bytes int64  // of content that it keeps in memory

	// Guarded by the Queue's mutex.
	until     time.Time // end of the lease
	left      int       // parts that have not ended
	recording bool      // somebody brings the store up to date
	anew      bool      // and must do so once more
	changed   bool      // a recipient's state differs from what is stored,
	delivered bool      // in that it was delivered: that cannot wait
	tried     bool      // an attempt has brought a result
	lost      bool      // the lease is another's
	order     Op        // what an operator wants done with it
	ending    bool      // its last record is being written: orders come too late
	settings  uint      // the Queue's settings when it was routed
	probe     *hop      // the hop that it was claimed to probe
	reclaim   bool      // it was claimed again before we had forgotten it
	next      *active

	// What those recipients wait for that have not ended: see waits.
	waiting    int
	where      NextHop
	mixed      bool
	due, again time.Time

	// To be reported before they are recorded.
	failed, succeeded []*Recipient
	failedUntil       time.Time // when the last of the failed ones expires; zero is never
	delayed           []delay

	one part // the first one; most messages have no other

	patience Patience // the retry policy's; set before the first part exists
}

// A delay is a recipient whose sender is to be notified that it waits until
// expire; zero is for ever.
type delay struct {
	r      *Recipient
	expire time.Time
}

// fail notes that a recipient has failed, which would have expired then.
func (a *active) fail(r *Recipient, expire time.Time) {
	if len(a.failed) == 0 {
		a.failedUntil = expire
	} else if !a.failedUntil.IsZero() && !expire.IsZero() {
		a.failedUntil = later(a.failedUntil, expire)
	} else {
		a.failedUntil = time.Time{}
	}
	a.failed = append(a.failed, r)
}

// waits notes that a recipient waits for hop. due is when it may be tried as
// far as it is concerned itself, again when it makes sense to look at it
// again although the hop is not known to be open. A message whose recipients
// all wait for the same hop is kept under it until the hop opens (due); one
// that waits for several is looked at now and then (again).
func (a *active) waits(hop NextHop, due, again time.Time) {
	if a.waiting == 0 {
		a.where, a.due, a.again = hop, due, again
	} else {
		a.mixed = a.mixed || a.where != hop
		a.due = sooner(a.due, due)
		a.again = sooner(a.again, again)
	}
	a.waiting++
}

// waitAll notes that recipients wait for a hop, for reasons of their own.
func (a *active) waitAll(h *hop, rcpts []*Recipient, now time.Time) {
	for range rcpts {
		a.waits(h.key, now, now)
	}
}

// schedule is what waits has gathered.
func (a *active) schedule() Schedule {
	s := Schedule{Due: a.due, Hop: a.where, Volatile: !a.changed && !aside(a.where)}
	if a.mixed {
		s.Due, s.Hop = a.again, NextHop{}
	}
	return s
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// activeList is a queue of messages, first in, first out.
type activeList struct {
	first, last *active
	n           int
}

func (l *activeList) push(a *active) {
	a.next = nil
	if l.last == nil {
		l.first = a
	} else {
		l.last.next = a
	}
	l.last = a
	l.n++
}

func (l *activeList) pop() *active {
	a := l.first
	l.first = a.next
	if l.first == nil {
		l.last = nil
	}
	a.next = nil
	l.n--
	return a
}
