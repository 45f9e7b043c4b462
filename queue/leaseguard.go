package queue

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A watch is an attempt in progress whose lease can end before its time: see
// [LeaseGuard]. An attempt that loses it before the end of data is stopped. After
// the end of data it is completed, and recorded if the lease is still valid then.
type watch struct {
	early  context.Context // what Early returns
	cancel context.CancelFunc
	denied atomic.Bool // the attempt may not become final, or was stopped
}

// mayBegin asks the store whether an attempt at a part may begin. If not, it appends
// the decisions that follow to todo.
func (q *Queue) mayBegin(p *part, todo []sched.Decision) (ok bool, _ []sched.Decision) {
	if q.leases == nil {
		return true, todo
	}
	a := p.message()
	err := q.leases.MayBegin(a.owner, a.m.ID)
	if err == nil {
		return true, todo
	}
	lost, first := errors.Is(err, ErrLeaseLost), false
	todo = q.decide(todo, func(core *sched.Scheduler) {
		first = !lost && !core.Broken()
		core.NotBegun(q.clock.now(), &p.Part, lost)
	})
	if first {
		q.log.Error("queue: deliveries suspended, this node has no contact with the store", "error", err)
	}
	return false, todo
}

// watch has the lease of an attempt watched until unwatch is called.
func (q *Queue) watch(c *deliverContext) {
	if q.leases == nil {
		return
	}
	w := new(watch)
	w.early, w.cancel = context.WithCancel(Early(c.Context))
	c.watch = w
	q.locked(func(*sched.Scheduler) {
		if q.watched == nil {
			q.watched = map[*deliverContext]bool{}
		}
		q.watched[c] = true
	})
}

// unwatch ends watch. It reports whether the attempt was denied or stopped.
func (q *Queue) unwatch(c *deliverContext) (denied bool) {
	if c.watch == nil {
		return false
	}
	q.locked(func(*sched.Scheduler) { delete(q.watched, c) })
	c.watch.cancel()
	return c.watch.denied.Load()
}

// mayFinish implements [MayFinish].
func (c *deliverContext) mayFinish() error {
	a := c.part.message()
	err := c.queue.leases.MayFinish(a.owner, a.m.ID)
	if err != nil {
		c.watch.denied.Store(true)
	}
	return err
}

// checkAttempts stops the attempts before their end of data whose leases are over.
func (n *node) checkAttempts(ctx context.Context) {
	tick := time.NewTicker(attemptsInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.q.stopLost()
		case <-ctx.Done():
			return
		}
	}
}

// stopLost cancels the early contexts of the attempts whose leases are over.
func (q *Queue) stopLost() {
	var all []*deliverContext
	q.locked(func(*sched.Scheduler) {
		for c := range q.watched {
			all = append(all, c)
		}
	})
	for _, c := range all {
		if c.mayFinish() != nil {
			c.watch.cancel()
		}
	}
}
