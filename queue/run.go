package queue

import (
	"context"
	"time"
)

const (
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
		q.recheckWaiting(now)
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
	if q.recheck != recheckNone && !q.rechecking && !q.idle() {
		at = sooner(at, q.recheckAt)
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
