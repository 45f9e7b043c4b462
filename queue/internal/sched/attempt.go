package sched

import "time"

// busyFirst is how long a hop waits whose host has no connection free, if no
// attempt at the host is known that could end sooner. The wait doubles until
// busyMost.
const (
	busyFirst = 100 * time.Millisecond
	busyMost  = 30 * time.Second
)

// maxTurned is how often a part is put back into the queue because its hop was
// overcrowded; then it is deferred as any other.
const maxTurned = 3

// An Attempt is what an attempt to deliver a part came to.
type Attempt struct {
	Begun time.Time
	Down  bool          // the hop could not be reached
	Wait  time.Duration // how long the hop is then left alone
	Pace  Pace
	Host  string // the address that it went to; empty if that is not known
	Busy  bool   // it had to wait for a connection, and did not
}

// A Consequence is what an attempt means for the part's recipients that were
// not delivered.
type Consequence struct {
	// Turned: the attempt does not count, and the part is in its queue again.
	Turned bool
	// Down: the recipients wait for the hop, as all others that do. They are
	// due from Since on, and the hop is tried again at Retry.
	Down         bool
	Died         bool // the hop is dead from now on
	Since, Retry time.Time
	// Asked: their mail was asked for during the attempt. They are due now.
	Asked bool
}

// Attempted: an attempt has ended. Unless the part was turned away, Ended
// follows when the driver has noted what became of the recipients.
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
		s.hostAnswers(h, true)
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
		s.hostAnswers(h, false)
		h.unreached(now, now.Add(a.Wait))
		s.putBack(s.takeAll(h))
		s.watch(now, h)
	}
	c.Down, c.Since, c.Retry = true, h.downAt, h.retryAt
	return c
}

// TurnedBack: a part was not delivered, since its Pacer holds the hop. It and
// all others of the hop are put back.
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

// setPace notes what a Pacer said of a hop. asks is Scheduler.asked before it
// was asked.
func (s *Scheduler) setPace(now time.Time, h *Hop, p Pace, asks uint) {
	var askAt time.Time
	switch {
	case p.Known && asks != s.asked:
		askAt = now // its mail may have been asked for since
	case p.Held:
		askAt = p.Until
	}
	h.paced, h.maxConcurrency = p.Known, p.MaxConcurrency
	if p.Held == h.closed && askAt.Equal(h.askAt) {
		s.ring(h)
		return
	}
	h.closed, h.askAt = p.Held, askAt
	s.watch(now, h)
}

// retryHop makes the loop probe a hop now that is dead, and ask its Pacer.
func (s *Scheduler) retryHop(now time.Time, h *Hop) {
	if h.dead {
		h.retryAt = now
	}
	if h.paced {
		h.askAt = now
	}
	s.watch(now, h)
}

// watch draws the consequences of a hop's having been closed or opened, for
// whatever reason: claims, timers, the ring.
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
