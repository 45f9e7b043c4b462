package queue

import (
	"context"
	"errors"
	"time"
)

const (
	// claimMost is how many messages are claimed at a time.
	claimMost = 256
	// sweepInterval is how often what waits for a dead hop is looked through
	// for messages that have waited too long. (A sweep that takes long is not
	// repeated before a hundred times as long.)
	sweepInterval = 15 * time.Minute
	// heartbeat is how often Run looks around when nothing calls it: for mail
	// that other nodes left in a shared store.
	heartbeat = time.Minute
	// soon is when something is tried again that lacked room or a store.
	soon = 5 * time.Second
)

// run is the one goroutine that lives as long as the Queue. It claims what is
// due as far as there is room, renews leases, has dead hops probed, and tries
// the store again when it was broken. It sleeps until one of those is due or
// somebody calls it.
func (q *Queue) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		q.mend(now)
		q.wakeHops(now)
		q.renew(now)
		q.tidy(now)
		q.reclaim(now)
		q.clearAside(now)
		q.hurrySuspect(now)
		if err := q.claim(now); err != nil {
			return err
		}
		q.mu.Lock()
		q.kick()
		until := q.plan(now)
		q.sleepUntil = until
		stopping := q.stopping
		q.mu.Unlock()
		if stopping || ctx.Err() != nil {
			return nil
		}
		timer.Reset(time.Until(until))
		select {
		case <-timer.C:
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// plan is when run must look again. Called with mu held.
func (q *Queue) plan(now time.Time) time.Time {
	at := q.claimedAt.Add(heartbeat)
	if q.idle() || q.full || !at.After(now) {
		at = now.Add(heartbeat)
	}
	if !q.claimAt.IsZero() && !q.full && !q.idle() {
		at = sooner(at, q.claimAt)
	}
	if len(q.timers) > 0 && !q.idle() {
		at = sooner(at, q.timers[0].wakeAt)
	}
	if q.broken != nil {
		at = sooner(at, q.mendAt)
	}
	if len(q.active) > 0 {
		at = sooner(at, q.renewAt)
	}
	if len(q.suspects) > 0 && !q.idle() {
		at = sooner(at, q.suspectAt)
	}
	if q.notBefore.After(now) && q.ready.n+q.probes.n > 0 {
		at = sooner(at, q.notBefore)
	}
	return at
}

// stop ends what Run began: it waits for the attempts in progress and gives
// back what is still in hand.
func (q *Queue) stop() {
	q.mu.Lock()
	q.stopping = true
	q.mu.Unlock()
	q.awaitWorkers()
	q.mu.Lock()
	q.running = false
	unrecorded := q.unrecorded
	q.unrecorded = nil
	q.mu.Unlock()
	for _, a := range unrecorded {
		q.record(a) // the last chance
	}
	q.mu.Lock()
	left := q.active
	q.active = map[string]*active{}
	q.incoming = activeList{}
	q.mu.Unlock()
	for _, a := range left {
		if !a.recording {
			q.giveBack(a)
		}
	}
}

// awaitWorkers waits for the attempts in progress, and keeps their leases.
func (q *Queue) awaitWorkers() {
	done := make(chan struct{})
	go func() {
		q.workersDone.Wait()
		close(done)
	}()
	tick := time.NewTicker(max(q.limits.Lease/4, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			q.renew(now)
		}
	}
}

// giveBack records a message that is not done with when the Queue ends.
func (q *Queue) giveBack(a *active) {
	q.mu.Lock()
	m := a.snapshot()
	q.mu.Unlock()
	if err := q.Store.Update(context.Background(), q.owner, m, Schedule{Volatile: true}); err != nil {
		q.log.Warn("queue: a message could not be given back", "id", m.ID, "error", err)
		return
	}
	if a.order.what == 0 {
		return
	}
	if done, err := q.do(context.Background(), m.ID, NextHop{}, a.order); !done || err != nil {
		q.log.Warn("queue: an order could not be carried out", "id", m.ID, "operation", a.order.String(), "error", err)
	}
}

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
		ask := h.closed && reached(h.askAt)
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
			h.askAt = time.Time{}
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
	q.timers.set(h, now.Add(lookAgain)) // should the message go another way now
	q.mu.Unlock()
	n, err := q.claimFor(h, now, 1)
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
		n, err = q.claimFor(h, before, most)
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

// claim claims what is due as far as there is room.
func (q *Queue) claim(now time.Time) error {
	for {
		q.mu.Lock()
		due := !q.claimAt.IsZero() && !q.claimAt.After(now) || now.Sub(q.claimedAt) >= heartbeat
		if q.idle() || q.full || !due {
			q.mu.Unlock()
			return nil
		}
		q.claimedAt = now
		if q.heldCopy == nil {
			q.heldCopy = make(map[NextHop]bool, len(q.held))
			for k := range q.held {
				q.heldCopy[k] = true
			}
		}
		except := q.heldCopy
		q.claimAt = time.Time{}
		q.mu.Unlock()

		c := Claim{Owner: q.owner, Until: now.Add(q.limits.Lease), Now: now, Except: except}
		size := claimMost
		if q.claims++; q.claims%8 == 0 { // so that urgent mail does not starve the rest
			c.LeastUrgent, size = true, claimMost/4
		}
		n, most, err := q.claimAdmit(c, size)
		if errors.Is(err, ErrClosed) {
			return err
		}
		var next time.Time
		if err == nil && n < most {
			next, err = q.Store.Next(q.ctx, c)
			if n == 0 && !next.IsZero() && !next.After(now) {
				next = now.Add(time.Second) // another node was quicker, or the store errs
			}
		} else if err == nil {
			next = now
		}
		if err != nil {
			if q.ctx.Err() != nil {
				return nil
			}
			q.log.Error("queue: the store cannot be claimed from", "error", err)
			next = now.Add(mendMost)
		}
		if most == 0 {
			return nil
		}
		if !next.IsZero() {
			q.mu.Lock()
			q.claimAtLatest(next)
			q.mu.Unlock()
		}
	}
}

// errNoRoom says that as many messages are active as may be.
var errNoRoom = errors.New("no room for another active message")

// reclaim begins with the messages that Run had claimed again before their
// last time in hand was quite over.
func (q *Queue) reclaim(now time.Time) {
	q.mu.Lock()
	ids := q.reclaims
	q.reclaims = nil
	q.mu.Unlock()
	for _, id := range ids {
		c := Claim{Owner: q.owner, Until: now.Add(q.limits.Lease), Now: now, ID: id}
		if _, _, err := q.claimAdmit(c, 1); err != nil && q.ctx.Err() == nil {
			q.log.Error("queue: a message cannot be claimed again", "id", id, "error", err)
		}
	}
}

// claimFor claims mail that waits for one hop.
func (q *Queue) claimFor(h *hop, now time.Time, most int) (n int, err error) {
	n, room, err := q.claimAdmit(Claim{Owner: q.owner, Until: time.Now().Add(q.limits.Lease), Now: now, Only: &h.key}, most)
	if err != nil && q.ctx.Err() == nil {
		q.log.Error("queue: the store cannot be claimed from", "hop", h.key, "error", err)
	}
	if err == nil && room == 0 {
		err = errNoRoom
	}
	return n, err
}

// claimAdmit claims up to most messages, as far as there is room, and makes
// them active.
func (q *Queue) claimAdmit(c Claim, most int) (n, room int, err error) {
	q.mu.Lock()
	room = min(most, q.limits.Active-len(q.active)-q.reserved)
	if room <= 0 {
		q.full = true
		q.mu.Unlock()
		return 0, 0, nil
	}
	q.reserved += room
	q.mu.Unlock()
	c.Max = room
	ms, err := q.Store.Claim(q.ctx, c)
	for _, m := range ms {
		q.admit(&active{m: m, owner: q.owner, until: c.Until})
	}
	q.mu.Lock()
	q.unreserve(room - len(ms))
	q.mu.Unlock()
	return len(ms), room, err
}

// tidy forgets hops that have had no mail for a while.
func (q *Queue) tidy(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Before(q.tidyAt) {
		return
	}
	q.tidyAt = now.Add(hopMemory)
	for key, h := range q.hops {
		if h.idle() && now.Sub(h.used) >= hopMemory {
			delete(q.hops, key)
		}
	}
}

// hopMemory is how long what is known of a next hop (its concurrency, its
// counts) outlives its last mail.
const hopMemory = 10 * time.Minute

// renew extends the leases of messages that have been in hand for long.
func (q *Queue) renew(now time.Time) {
	const most = 1000 // at a time
	for {
		q.mu.Lock()
		if now.Before(q.renewAt) {
			q.mu.Unlock()
			return
		}
		until := now.Add(q.limits.Lease)
		var ids []string
		for id, a := range q.active {
			if a.until.Sub(now) <= q.limits.Lease/2 && !a.lost {
				if ids = append(ids, id); len(ids) == most {
					break
				}
			}
		}
		if len(ids) < most {
			q.renewAt = now.Add(q.limits.Lease / 4)
		}
		q.mu.Unlock()
		if len(ids) == 0 {
			return
		}
		lost, err := q.Store.Renew(context.Background(), q.owner, until, ids...)
		if err != nil {
			q.log.Error("queue: leases could not be renewed", "error", err)
			return
		}
		q.mu.Lock()
		for _, id := range ids {
			if a := q.active[id]; a != nil {
				a.until = until
			}
		}
		for _, id := range lost {
			if a := q.active[id]; a != nil {
				a.lost = true
			}
		}
		q.mu.Unlock()
	}
}
