package sched

import (
	"slices"
	"time"
)

const (
	// LookAgain is how often a message is looked at that waits for several
	// hops that are closed.
	LookAgain = 5 * time.Minute
	// SweepInterval is how often what waits for a dead hop is looked through
	// for messages that have waited too long. (A sweep that takes long is not
	// repeated before a hundred times as long.)
	SweepInterval = 15 * time.Minute
	// hopMemory is how long what is known of a hop outlives its last mail.
	hopMemory = 10 * time.Minute
	// asideInterval is how often mail that is set aside is looked through for
	// what is too old.
	asideInterval = time.Hour
)

// Due is what the loop has to do now. The loop calls it again and again with
// the same time until the result is Sleep, or Stop.
func (s *Scheduler) Due(now time.Time) Task {
	s.now = now
	if s.broken && !now.Before(s.mendAt) {
		s.mendAt = now.Add(s.mendWait) // until Mended
		return Task{Kind: Mend}
	}
	if d := s.hopDue(now); d.Kind != NoTask {
		return d
	}
	if d := s.LeasesDue(now); d.Kind != NoTask {
		return d
	}
	s.tidy(now)
	if d := s.claimDue(now); d.Kind != NoTask {
		return d
	}
	s.kick()
	if s.stopping {
		return Task{Kind: Stop}
	}
	s.sleepUntil = s.plan(now)
	return Task{Kind: Sleep, At: s.sleepUntil}
}

// claimDue is what of the messages is to be claimed, cleared or looked through.
func (s *Scheduler) claimDue(now time.Time) Task {
	if len(s.reclaims) > 0 {
		if q, ok := s.reserve(now, 1); ok { // otherwise when there is room
			q.ID, s.reclaims = s.reclaims[0], s.reclaims[1:]
			return Task{Kind: Claim, Claim: q}
		}
	}
	if s.idle() {
		return Task{}
	}
	if !now.Before(s.clearAt) {
		first := s.clearAt.IsZero()
		s.clearAt = now.Add(asideInterval)
		if !first { // should the report on poison kill the process, all other mail has had an hour
			return Task{Kind: Clear}
		}
	}
	if s.suspects.n > 0 && !now.Before(s.suspectAt) {
		s.nextSuspect(now, s.suspect) // it takes too long
	}
	if s.recheck != ScopeNone && !s.rechecking && !now.Before(s.recheckAt) {
		d := Task{Kind: Recheck, Scope: s.recheck}
		s.recheck, s.rechecking = ScopeNone, true
		return d
	}
	if q, ok := s.claim(now); ok {
		return Task{Kind: Claim, Claim: q}
	}
	return Task{}
}

// plan is when the loop must look again.
func (s *Scheduler) plan(now time.Time) time.Time {
	at := s.claimedAt.Add(heartbeat)
	if s.idle() || s.full || !at.After(now) {
		at = now.Add(heartbeat)
	}
	if !s.claimAt.IsZero() && !s.full && !s.idle() {
		at = sooner(at, s.claimAt)
	}
	if len(s.timers) > 0 && !s.idle() {
		at = sooner(at, s.timers[0].wakeAt)
	}
	if s.broken {
		at = sooner(at, s.mendAt)
	}
	if len(s.active) > 0 {
		at = sooner(at, s.renewAt)
	}
	if s.suspects.n > 0 && !s.idle() {
		at = sooner(at, s.suspectAt)
	}
	if s.recheck != ScopeNone && !s.rechecking && !s.idle() {
		at = sooner(at, s.recheckAt)
	}
	if s.notBefore.After(now) && s.hopsReady() > 0 {
		at = sooner(at, s.notBefore)
	}
	if token := s.trialDue(now); token.After(now) {
		at = sooner(at, token)
	}
	return at
}

// hopDue is what is to be done about the hops whose time has come.
func (s *Scheduler) hopDue(now time.Time) Task {
	for !s.idle() {
		h := s.timers.due(now)
		if h == nil {
			break
		}
		switch {
		case h.waiting() && Reached(h.sweepAt, now):
			if d := s.sweep(now, h); d.Kind != NoTask {
				return d
			}
		case Reached(h.askAt, now):
			h.asks = s.asked
			return Task{Kind: Ask, Hop: h}
		case h.dead && !h.shut() && Reached(h.retryAt, now):
			if d := s.probe(now, h); d.Kind != NoTask {
				return d
			}
		default:
			h.expected = false // the probe was never routed
			s.watch(now, h)    // or the hop's rate allows one more
		}
	}
	return Task{}
}

// probe has a dead hop tried by one message: the window of one lets only one
// find out whether it is alive. While that one is on its way, the others stay
// in the store; if none is due, the next that is will be the probe.
//
// Of probes that wait for a delivery there are only so many, or those of
// thousands of dead hops would take all places of active messages.
func (s *Scheduler) probe(now time.Time, h *Hop) Task {
	busy := s.incoming.n+s.routing+s.ringed[probing]+s.trying >= max(min(s.limits.Deliveries, s.limits.Active/4), 1)
	var q *Query
	ok := false
	if !busy {
		q, ok = s.reserve(now, 1)
	}
	if !ok {
		h.retryAt = now.Add(soon)
		s.watch(now, h)
		return Task{}
	}
	h.dead, h.probing, h.expected, h.window = false, true, true, 1
	h.used = now // so that it is not forgotten that this is a probe
	s.watch(now, h)
	s.timers.set(h, now.Add(LookAgain)) // should the message never be routed
	q.Only, q.Probe = h, true
	return Task{Kind: Claim, Claim: q}
}

// probeClaimed goes on with a probe for which n messages were claimed.
func (s *Scheduler) probeClaimed(now time.Time, h *Hop, n int, failed bool) {
	switch {
	case failed:
		h.dead, h.probing, h.expected, h.retryAt = true, false, false, now.Add(soon)
		s.watch(now, h)
	case n == 0:
		h.expected = false
		s.watch(now, h)
	}
}

// noProbe notes that a message does not probe the hop that it was claimed to
// probe, unless it is in the hop's queue. The next message will.
func (s *Scheduler) noProbe(now time.Time, m *Message) {
	if h := m.Probe; h != nil && h.expected {
		h.expected = false
		s.watch(now, h)
	}
}

// sweep looks through what waits for a hop that is dead or shut: each message is
// claimed, found to have waited long enough or not, and put back.
func (s *Scheduler) sweep(now time.Time, h *Hop) Task {
	if h.sweep.IsZero() {
		h.sweep = now.Add(-1) // what is put back from now on is not looked at again
	}
	if most := min(claimMost, s.limits.Active/2-len(s.active)); most > 0 { // half of the places at most
		if q, ok := s.reserve(now, most); ok {
			q.Now, q.Only, q.Sweep = h.sweep, h, true
			return Task{Kind: Claim, Claim: q}
		}
	}
	h.sweepAt = now.Add(soon)
	s.watch(now, h)
	return Task{}
}

// swept goes on with a sweep for which n messages were claimed.
func (s *Scheduler) swept(now time.Time, q *Query, n int, failed bool) {
	h := q.Only
	switch {
	case failed:
		h.sweepAt = now.Add(soon)
	case n > 0:
		h.sweepAt = now.Add(time.Millisecond) // go on, after what else there is to do
	default:
		h.sweepAt = now.Add(max(SweepInterval, 100*now.Sub(q.Now)))
		h.sweep = time.Time{}
	}
	s.watch(now, h)
}

// tidy forgets hops that have had no mail for a while.
func (s *Scheduler) tidy(now time.Time) {
	if now.Before(s.tidyAt) {
		return
	}
	s.tidyAt = now.Add(hopMemory)
	s.hopList = slices.DeleteFunc(s.hopList, func(h *Hop) bool {
		old := h.idle() && now.Sub(h.used) >= hopMemory
		if old {
			s.leave(h)
			delete(s.hops, h.Key)
			if h.connector.hops--; h.connector.hops == 0 {
				delete(s.connectors, h.connector.name)
			}
		}
		return old
	})
	s.connectorList = slices.DeleteFunc(s.connectorList, func(c *connector) bool { return c.hops == 0 })
}
