package sched

import "time"

// busyFirst is how long a hop waits whose host has no connection free, if no
// attempt at the host is known that could end sooner. The wait doubles until
// busyMost.
const (
	busyFirst = 100 * time.Millisecond
	busyMost  = 30 * time.Second
)

// maxTurned is how often a part goes back to its hop's queue because the host
// accepts no more connections. After that it is deferred like any other part.
const maxTurned = 3

// An Attempt is the result of an attempt to deliver a part.
type Attempt struct {
	Begun time.Time
	Down  bool          // the hop could not be reached
	Wait  time.Duration // until the hop is probed
	Pace  Pace
	Host  string // the address that it went to; empty if that is not known
	Busy  bool   // it had to wait for a connection, and did not
}

// A Consequence says what happens to the recipients of a part that were not
// delivered.
type Consequence struct {
	// Turned: the attempt does not count, and the part is in its queue again.
	Turned bool
	// Down: the hop cannot be reached, and the recipients wait for it. They are
	// due from Since on, and the hop is probed at Retry.
	Down         bool
	Died         bool // the hop is dead from now on
	Since, Retry time.Time
	// Asked: somebody requested the mail of the hop during the attempt. The
	// recipients are due now.
	Asked bool
}

// Attempted ends an attempt. Unless the part is turned, the driver then notes
// the state of each recipient and calls Ended.
func (s *Scheduler) Attempted(now time.Time, p *Part, a *Attempt) (c Consequence) {
	s.now = now
	h := p.Hop
	s.free(p)
	s.meet(h, a.Host)
	h.used, h.single = now, false
	if !a.Busy {
		h.busy = 0
	}
	s.setPace(now, h, a.Pace, p.asks)
	c.Asked = p.requests != h.requests
	if c.Asked {
		a.Wait = 0
	}
	switch {
	case a.Busy:
		if h.host == nil || h.host.inflight == 0 { // it is not known which attempt has the connections
			h.notBefore = later(h.notBefore, now.Add(min(busyFirst<<h.busy, busyMost)))
			h.busy = min(h.busy+1, 30)
		}
		s.enqueue(p)
		return Consequence{Turned: true}
	case !a.Down:
		if !h.answers {
			s.trialEnded(now, now.Sub(a.Begun), true)
		}
		s.setAnswers(h, true)
		h.reached(now)
		s.hostAnswered(now, h)
		s.watch(now, h)
		return c
	case h.crowded(a.Begun):
		h.narrow()
		if p.turned < maxTurned { // waiting for a limit costs no attempt
			p.turned++
			s.enqueue(p)
			return Consequence{Turned: true}
		}
		s.ring(h)
		s.kick()
		return c
	case !h.dead: // else another attempt found that, meanwhile
		c.Died = true
		if !h.answers {
			s.trialEnded(now, now.Sub(a.Begun), false)
		}
		s.setAnswers(h, false)
		s.hostSilent(a.Begun, h)
		h.unreached(now, now.Add(a.Wait))
		s.putBack(s.takeAll(h))
		s.watch(now, h)
	}
	c.Down, c.Since, c.Retry = true, h.downAt, h.retryAt
	return c
}

// TurnedBack ends a delivery that was not attempted because a Pacer has closed
// the hop. All parts of the hop are put back to the store.
func (s *Scheduler) TurnedBack(now time.Time, p *Part, pace Pace) {
	s.now = now
	s.free(p)
	s.setPace(now, p.Hop, pace, p.asks)
	p.next = s.takeAll(p.Hop)
	s.putBack(p)
	s.relieve(p.Hop)
	s.ring(p.Hop)
	s.kick()
}

// setPace applies the answer of a Pacer for a hop. asks is the value of
// Scheduler.asked before the call of the Pacer.
func (s *Scheduler) setPace(now time.Time, h *Hop, p Pace, asks uint) {
	var askAt time.Time
	switch {
	case p.Known && asks != s.asked:
		askAt = now // its mail may have been asked for since
	case p.Held:
		askAt = p.Until
	}
	h.paced, h.maxConcurrency, h.perNode = p.Known, p.MaxConcurrency, p.PerNode
	if p.Held == h.closed && askAt.Equal(h.askAt) {
		s.ring(h)
		return
	}
	h.closed, h.askAt = p.Held, askAt
	s.watch(now, h)
}

// retryHop makes the loop probe a dead hop now, and call the hop's Pacer.
func (s *Scheduler) retryHop(now time.Time, h *Hop) {
	if h.dead {
		h.retryAt = now
	}
	if h.paced {
		h.askAt = now
	}
	s.watch(now, h)
}

// watch updates claims, timers and rings after a hop was opened or closed for
// any reason.
func (s *Scheduler) watch(now time.Time, h *Hop) {
	if !h.waiting() {
		h.sweepAt, h.sweep = time.Time{}, time.Time{}
	} else if h.sweepAt.IsZero() {
		h.sweepAt = now.Add(SweepInterval)
	}
	if at := h.nextLook(); !at.IsZero() {
		s.timers.set(h, at)
		s.wakeAt(at)
	} else {
		s.timers.clear(h)
	}
	s.relieve(h)
	s.hold(h)
	s.ring(h)
	s.kick()
}
