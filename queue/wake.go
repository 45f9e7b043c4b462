package queue

import (
	"time"
)

// sweepInterval is how often what waits for a dead hop is looked through
// for messages that have waited too long. (A sweep that takes long is not
// repeated before a hundred times as long.)
const sweepInterval = 15 * time.Minute

// wakeHops looks at the hops whose time has come.
func (q *Queue) wakeHops(now time.Time) {
	for {
		q.mu.Lock()
		if q.idle() {
			q.mu.Unlock()
			return
		}
		h := q.timers.due(now)
		if h == nil {
			q.mu.Unlock()
			return
		}
		reached := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
		sweep := h.waiting() && reached(h.sweepAt)
		ask := reached(h.askAt)
		probe := h.dead && !h.shut() && reached(h.retryAt)
		if !sweep && !ask && !probe {
			h.expected = false // the probe went another way
			q.watch(h)         // or its rate allows one more
		}
		q.mu.Unlock()
		switch {
		case sweep:
			q.sweep(h, now)
		case ask:
			pace := q.pace(h.key)
			q.mu.Lock()
			if pace.Held && !pace.Until.IsZero() && !pace.Until.After(now) {
				pace.Until = now.Add(soon) // an answer that has passed already is not to be asked for again at once
			}
			q.setPace(h, pace)
			q.watch(h)
			q.mu.Unlock()
		case probe:
			q.probe(h, now)
		}
	}
}

// probe has a dead hop tried by one message: the window of one lets only one
// find out whether it is alive. While that one is on its way, the others stay
// in the store; if none is due, the next that is will be the probe.
//
// Of probes that wait for a delivery there are only so many, or those of
// thousands of dead hops would take all places of active messages.
func (q *Queue) probe(h *hop, now time.Time) {
	q.mu.Lock()
	if q.incoming.n+q.routing+q.probes.n+q.probing >= max(min(q.limits.Deliveries, q.limits.Active/4), 1) {
		h.retryAt = now.Add(soon)
		q.watch(h)
		q.mu.Unlock()
		return
	}
	h.dead, h.probing, h.expected, h.window = false, true, true, 1
	h.used = now // so that it is not forgotten that this is a probe
	q.watch(h)
	q.timers.set(h, now.Add(lookAgain)) // should the message never be routed
	q.mu.Unlock()
	n, err := q.claimFor(h, now, 1, h)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case err != nil:
		h.dead, h.probing, h.retryAt = true, false, now.Add(soon)
		q.watch(h)
	case n == 0:
		h.expected = false
		q.watch(h)
	}
}

// sweep looks through what waits for a dead hop: each message is claimed,
// found to have waited long enough or not, and put back.
func (q *Queue) sweep(h *hop, now time.Time) {
	q.mu.Lock()
	if h.sweep.IsZero() {
		h.sweep = now.Add(-1) // what is put back from now on is not looked at again
	}
	before := h.sweep
	most := min(claimMost, q.limits.Active/2-len(q.active)) // it may take only half of the places
	q.mu.Unlock()
	n, err := 0, errNoRoom
	if most > 0 {
		n, err = q.claimFor(h, before, most, nil)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case err != nil:
		h.sweepAt = now.Add(soon)
	case n > 0:
		h.sweepAt = now.Add(time.Millisecond) // go on, after what else there is to do
	default:
		h.sweepAt = now.Add(max(sweepInterval, 100*now.Sub(before)))
		h.sweep = time.Time{}
	}
	q.watch(h)
}
