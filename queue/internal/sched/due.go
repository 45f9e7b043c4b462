package sched

import (
	"slices"
	"time"
)

const (
	// LookAgain is the retry interval of a message that waits for several
	// closed hops.
	LookAgain = 5 * time.Minute
	// SweepInterval is how often the mail that waits for a dead hop is searched
	// for messages that have expired. After a long sweep the interval is a
	// hundred times its duration.
	SweepInterval = 15 * time.Minute
	// hopMemory is how long the state of a hop is kept after its last mail.
	hopMemory = 10 * time.Minute
	// asideInterval is how often the mail that is set aside is searched for
	// messages that are too old.
	asideInterval = time.Hour
)

// Due returns what the loop must do now. The loop calls it with the same time
// until the result is Sleep or Stop.
func (s *Scheduler) Due(now time.Time) Task {
	s.now = now
	if s.broken && !now.Before(s.mendAt) {
		s.mendAt = now.Add(s.mendWait) // until Mended
		return Task{Kind: Mend}
	}
	if !s.stopping && s.suspensions.due(now) {
		return Task{Kind: EndSuspensions}
	}
	if d := s.hopDue(now); d.Kind != NoTask {
		return d
	}
	if d := s.LeasesDue(now); d.Kind != NoTask {
		return d
	}
	s.tidy(now)
	s.tryAlone(now)
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

// claimDue returns the next task that claims, clears or rechecks messages.
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

// plan returns the time until which the loop can sleep.
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
	if turn := s.aloneDue(); turn.After(now) && !s.idle() {
		at = sooner(at, turn)
	}
	if s.broken {
		at = sooner(at, s.mendAt)
	}
	if end := s.suspensions.endAt; !end.IsZero() {
		at = sooner(at, end)
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

// hopDue returns the next task for a hop whose timer has expired.
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

// probe claims one message for a dead hop, the probe. The window is one. The
// other messages for the hop stay in the store until the probe has ended. If no
// message is due, the next one that becomes due is the probe.
//
// The number of probes that wait for a slot is limited. Otherwise the probes of
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
	look := now.Add(LookAgain) // if the message is never routed
	if h.timer >= 0 {
		look = sooner(look, h.wakeAt)
	}
	s.timers.set(h, look)
	q.Only, q.Probe = h, true
	return Task{Kind: Claim, Claim: q}
}

// probeClaimed ends the claim of a probe, which brought n messages.
func (s *Scheduler) probeClaimed(now time.Time, h *Hop, n int, failed bool) {
	switch {
	case !h.probing: // another attempt has reached the host meanwhile
	case failed:
		h.dead, h.probing, h.expected, h.retryAt = true, false, false, now.Add(soon)
		s.watch(now, h)
	case n == 0:
		h.expected = false
		s.watch(now, h)
	}
}

// noProbe notes that a message is not the probe that it was claimed for, unless
// it is in the hop's queue. The next message for the hop is the probe.
func (s *Scheduler) noProbe(now time.Time, m *Message) {
	if h := m.Probe; h != nil && h.expected {
		h.expected = false
		s.watch(now, h)
	}
}

// sweep claims the messages that wait for a dead or closed hop, a few at a time.
// Those that have not expired are put back.
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

// swept ends a claim of a sweep, which brought n messages.
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
