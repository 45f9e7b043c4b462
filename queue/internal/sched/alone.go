package sched

import "time"

// A message that was active each time when the process died, as often as the
// limit permits, is tried alone before it is set aside: an operator may have
// killed the process, or another message. If the process dies again, this
// message is the cause.
//
// While such a message has its turn, no other job begins. The turn begins when
// all jobs in progress have ended, or is given up after aloneTurn. It ends with
// the message, or after aloneTurn. Then other mail has at least aloneRest times
// as long.

const (
	aloneTurn = 30 * time.Second
	aloneRest = 4
)

// alone is the state of the turns of messages that are tried alone.
type alone struct {
	waiting messageList
	msg     *Message  // the one whose turn it is; nil for none
	began   bool      // it has been routed: before, jobs in progress must end
	since   time.Time // when the turn, or the wait for it, began
	parts   partList  // of msg, to be delivered in the turn
	next    time.Time // when the next turn may begin
}

// tryAlone begins the next turn, or ends one that takes too long.
func (s *Scheduler) tryAlone(now time.Time) {
	a := &s.alone
	if a.msg != nil && now.Sub(a.since) >= aloneTurn {
		m, began := a.msg, a.began
		s.endAlone(now, m)
		if !began { // jobs in progress take too long: it is tried later
			a.waiting.push(m)
		}
	}
	if a.msg == nil && a.waiting.n > 0 && !now.Before(a.next) && !s.idle() {
		a.msg, a.began, a.since = a.waiting.pop(), false, now
		s.wakeAt(now.Add(aloneTurn))
		s.kick()
	}
}

// endAlone ends the turn of m, if it has one. Its parts that were not attempted
// wait like those of other messages.
func (s *Scheduler) endAlone(now time.Time, m *Message) {
	a := &s.alone
	if a.msg != m {
		return
	}
	a.msg = nil
	a.next = now.Add(aloneRest * now.Sub(a.since))
	for p := a.parts.pop(); p != nil; p = a.parts.pop() {
		s.enqueue(p)
	}
	if a.waiting.n > 0 {
		s.wakeAt(a.next)
	}
	s.kick()
}

// aloneWork is how many jobs may begin in a turn.
func (s *Scheduler) aloneWork() int {
	switch a := &s.alone; {
	case s.routing+s.delivering > 0: // one at a time
	case !a.began, a.parts.first != nil:
		return 1
	}
	return 0
}

// nextAlone returns the next job of the message whose turn it is.
func (s *Scheduler) nextAlone() Decision {
	a := &s.alone
	if s.routing+s.delivering > 0 {
		return Decision{}
	}
	if !a.began {
		a.began, a.since = true, s.now
		s.wakeAt(s.now.Add(aloneTurn))
		return s.route(a.msg)
	}
	for p := a.parts.pop(); p != nil; p = a.parts.pop() {
		h := p.Hop
		switch {
		case p.Msg.ordered, p.Msg.lost:
			s.endOrdered(s.now, p)
			continue
		case h.dead || h.shut() || s.drained:
			s.putBack(p)
			continue
		}
		h.notBefore, s.notBefore = slot(s.now, h.limits.Rate), slot(s.now, s.limits.Rate)
		s.delivering++
		s.occupy(p)
		s.ring(h)
		s.hold(h)
		p.requests, p.asks, p.Fails = h.requests, s.asked, h.fails
		return Decision{Kind: Deliver, Part: p, Probe: h.probing}
	}
	return Decision{}
}

// aloneDue returns when the loop must look at the turns; zero for never.
func (s *Scheduler) aloneDue() time.Time {
	switch a := &s.alone; {
	case a.msg != nil:
		return a.since.Add(aloneTurn)
	case a.waiting.n > 0:
		return a.next
	}
	return time.Time{}
}
