package queue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// RetryQueue retries the mail for one next hop now: see [Queue.RetryQueues].
func (q *Queue) RetryQueue(ctx context.Context, hop NextHop) {
	_, hops, err := q.retryQueues(ctx, func(h NextHop) bool { return h == hop })
	if len(hops) == 0 {
		q.node.notifyRetry([]NextHop{hop}) // another node may know it
	}
	if err != nil {
		q.log.Error("queue: a next hop cannot be retried", "hop", hop, "error", err)
	}
	q.emitControl(ctx, hop, "retry queue")
}

// RetryQueues retries the mail for the next hops for which match returns true,
// and returns the number of its messages. It ignores the retry times of the
// hops and of the messages. It calls the Deliverer's Pace again, so it also
// starts mail that waits for a request (ETRN, [Releaser]) or for the times of a schedule.
// Suspended messages, and messages whose Release is in the future, continue to wait.
//
// If an attempt is in progress and fails, it is repeated at once.
func (q *Queue) RetryQueues(ctx context.Context, match func(NextHop) bool) (messages int, err error) {
	messages, hops, err := q.retryQueues(ctx, match)
	for _, hop := range hops {
		q.emitControl(ctx, hop, "retry queue")
	}
	return messages, err
}

func (q *Queue) retryQueues(ctx context.Context, match func(NextHop) bool) (messages int, hops []NextHop, err error) {
	q.setup()
	if q.Store == nil {
		return 0, nil, errNoStore
	}
	match = q.releasing(match)
	hops = slices.DeleteFunc(q.knownHops(), func(h NextHop) bool { return !match(h) })
	keys := make([]sched.Key, len(hops))
	for i, hop := range hops {
		keys[i] = sched.Key(hop)
	}
	q.locked(func(core *sched.Scheduler) { messages = core.Asked(keys) })
	started, stored, err := q.startStored(ctx, match)
	q.node.notifyRetry(union(hops, stored))
	now := q.clock.now()
	q.step(func(core *sched.Scheduler) {
		for _, key := range keys {
			core.Retry(now, key)
		}
		core.Stored(time.Time{})
	})
	return messages + started, hops, err
}

// releasing returns match as a function that also calls Release, once for each hop that
// matches.
func (q *Queue) releasing(match func(NextHop) bool) func(NextHop) bool {
	if q.releaseHop == nil {
		return match
	}
	released := map[NextHop]bool{}
	return func(hop NextHop) bool {
		if !match(hop) {
			return false
		}
		if !released[hop] {
			released[hop] = true
			q.releaseHop(hop)
		}
		return true
	}
}

// releaseRoutes releases the next hops of the waiting recipients of a message, and
// returns them. stored is the hop under which the store has the message; it is zero if
// they wait for several hops, or for one that is not recorded.
func (q *Queue) releaseRoutes(ctx context.Context, m *Message, stored NextHop) (hops []NextHop) {
	switch {
	case q.releaseHop == nil, aside(stored), stored == finalHop:
		return nil
	case stored != NextHop{}:
		q.releaseHop(stored)
		return []NextHop{stored}
	}
	released := map[NextHop]bool{}
	release := func(hop NextHop) bool {
		if !released[hop] {
			released[hop] = true
			hops = append(hops, hop)
			q.releaseHop(hop)
		}
		return true
	}
	for _, r := range m.Recipients {
		if r.Status == Waiting {
			q.routedTo(ctx, m, r, release)
		}
	}
	return hops
}

// union returns the hops that are in a or in b.
func union(a, b []NextHop) []NextHop {
	all := slices.Clone(a)
	known := make(map[NextHop]bool, len(a))
	for _, hop := range a {
		known[hop] = true
	}
	for _, hop := range b {
		if !known[hop] {
			all = append(all, hop)
		}
	}
	return all
}

// startStored makes the stored messages due that wait for a matching hop, and
// returns their number and the matching hops that they wait for. It looks only at the
// messages that are stored under a matching hop, and at those that wait for several hops
// or for an unknown one.
func (q *Queue) startStored(ctx context.Context, match func(NextHop) bool) (n int, hops []NextHop, err error) {
	sums, err := q.Store.Hops(ctx)
	if err != nil {
		return 0, nil, err
	}
	known := map[NextHop]bool{} // what hops has
	matchRoute := func(h NextHop) bool {
		if !match(h) {
			return false
		}
		if !known[h] {
			known[h] = true
			hops = append(hops, h)
		}
		return true
	}
	for i := range sums {
		hop := &sums[i].Hop
		if *hop != (NextHop{}) && (aside(*hop) || !match(*hop)) {
			continue
		}
		if *hop != (NextHop{}) && !known[*hop] {
			known[*hop] = true
			hops = append(hops, *hop)
		}
		for e, err := range q.Store.List(ctx, Query{Hop: hop}) {
			if err != nil {
				return n, hops, err
			}
			started, err := q.start(ctx, e, matchRoute)
			if err != nil {
				return n, hops, err
			}
			if started {
				n++
			}
		}
	}
	return n, hops, nil
}

// knownHops returns the hops that the scheduler has a state for.
func (q *Queue) knownHops() (hops []NextHop) {
	q.locked(func(core *sched.Scheduler) {
		core.Hops(func(h *sched.Hop) { hops = append(hops, NextHop(h.Key)) })
	})
	return hops
}

// start makes a stored message due if it waits for a matching hop, and reports
// whether it does. It reads only messages that wait for several hops or for an
// unknown hop.
func (q *Queue) start(ctx context.Context, e *Entry, match func(NextHop) bool) (bool, error) {
	switch stored := e.Schedule.Hop; {
	case aside(stored):
		return false, nil
	case stored == NextHop{}:
		return q.retryNow(ctx, e, func(m *Message, r *Recipient) bool { return q.routedTo(ctx, m, r, match) })
	case !match(stored):
		return false, nil
	case !q.clock.dueAt(&e.Schedule).After(q.clock.now()) && e.Schedule.Owner == "":
		return true, nil // due: only its hop delays it
	case stored == finalHop:
		return q.do(ctx, e.ID, stored, RetryNow())
	}
	return q.retryNow(ctx, e, func(*Message, *Recipient) bool { return true })
}

// routedTo reports whether a recipient is routed to a matching hop.
func (q *Queue) routedTo(ctx context.Context, m *Message, r *Recipient, match func(NextHop) bool) bool {
	hop := r.Route
	if hop == (NextHop{}) {
		var err error
		if hop, err = q.callRoute(ctx, m, r); err != nil {
			return false
		}
	}
	return match(hop)
}

// retryNow makes the waiting recipients of a message due at once that which
// selects, and reports whether there are any. It ignores their retry times. For
// an active message this happens when its attempts have ended. retryNow does
// not change a message that another node has leased or whose Release is in the
// future.
func (q *Queue) retryNow(ctx context.Context, e *Entry, which func(*Message, *Recipient) bool) (bool, error) {
	for range opTries {
		switch state := q.retryActive(e.ID); state {
		case notActive:
		case ordered, noneWaits:
			return state == ordered, nil
		case concluding:
			if err := pause(ctx, opWait); err != nil {
				return false, err
			}
			continue
		}
		m, err := q.Store.Get(ctx, e.ID)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
			return false, nil // it has ended, or Claim will find the damage
		}
		if err != nil {
			return false, err
		}
		if m.Interrupted > 0 || m.Options.Release.After(q.clock.wall()) || !makeDue(m, which) {
			return false, nil
		}
		owner := q.owner + "/" + q.ids.next(q.clock.wall()) // a unique owner, as in do
		c := q.clock.claim(owner, q.limits.Lease)
		c.ID = e.ID
		ms, err := q.Store.Claim(ctx, c)
		if err != nil {
			return false, err
		}
		if len(ms) > 0 {
			makeDue(ms[0], which)
			return true, q.Store.Update(context.WithoutCancel(ctx), owner, ms[0], Schedule{Hop: e.Schedule.Hop})
		}
		if held, err := q.heldElsewhere(ctx, []string{e.ID}); err != nil || held[e.ID] != "" {
			return held[e.ID] != "", err // the other node retries it: see notifyRetry
		}
		if err := pause(ctx, opWait); err != nil { // Run is about to make it active
			return false, err
		}
	}
	return false, nil
}

// makeDue makes the waiting recipients due that which selects, and reports
// whether there are any.
func makeDue(m *Message, which func(*Message, *Recipient) bool) (any bool) {
	for _, r := range m.Recipients {
		if r.Status == Waiting && which(m, r) {
			r.retryAtOnce()
			any = true
		}
	}
	return any
}

// activeState is the result of retryActive.
type activeState uint8

const (
	notActive  activeState = iota
	noneWaits              // active; no recipient waits for a retry
	ordered                // active; will be made due when its attempts have ended
	concluding             // its last record is being written
)

// retryActive orders a retry of an active message if recipients of it wait.
func (q *Queue) retryActive(id string) (state activeState) {
	q.locked(func(core *sched.Scheduler) {
		m, order := core.Order(id)
		switch {
		case order == sched.NotActive:
			state = notActive
		case order == sched.Closing:
			state = concluding
		case m.Waiting() == 0:
			state = noneWaits
		default:
			state = ordered
			q.orderRetry(core, m)
		}
	})
	return state
}
