package queue

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// claim claims messages as the scheduler has decided, and makes them active.
func (q *Queue) claim(query *sched.Query) error {
	c := Claim{Owner: q.owner, Until: query.Until, Now: query.Now, Wall: q.clock.wallOf(query.Now),
		Max: query.Max, ID: query.ID, LeastUrgent: query.LeastUrgent}
	switch {
	case query.Only != nil:
		c.Only = (*NextHop)(&query.Only.Key)
	case query.ID == "":
		c.Except = q.except
	}
	ms, err := q.Store.Claim(q.ctx, c)
	for _, m := range ms {
		a := q.newActive(m, q.owner, c.Until)
		if query.Probe {
			a.Probe = query.Only
		}
		q.admit(a, query.Now)
	}
	var next time.Time
	if err == nil && len(ms) < query.Max && query.Only == nil && query.ID == "" {
		next, err = q.Store.Next(q.ctx, c)
	}
	if err != nil && q.ctx.Err() == nil {
		q.log.Error("queue: messages cannot be claimed", "id", c.ID, "error", err)
	}
	q.step(func(core *sched.Scheduler) { core.Claimed(q.clock.now(), query, len(ms), next, err != nil) })
	return err
}

// copyExcept updates q.except if the hops that take no mail have changed. A
// claim reads the map without the lock, so copyExcept never changes a map but
// replaces it. It is called in a step.
func (q *Queue) copyExcept() {
	if q.except != nil && q.exceptOf == q.core.HeldVersion() {
		return
	}
	except := map[NextHop]bool{}
	q.core.Held(func(key sched.Key) { except[NextHop(key)] = true })
	q.except, q.exceptOf = except, q.core.HeldVersion()
}

// admit makes a message active. Its place was reserved before.
func (q *Queue) admit(a *active, now time.Time) {
	taken := false
	q.step(func(core *sched.Scheduler) { taken = core.Arrived(now, &a.Message) })
	if !taken { // the Queue has ended
		q.release(a)
	}
}

// release releases the lease on a message and does not change the message.
func (q *Queue) release(a *active) {
	s := Schedule{Volatile: true}
	if err := q.Store.Update(context.Background(), q.owner, a.m, s); err != nil {
		q.log.Warn("queue: the lease on a message could not be released", "id", a.m.ID, "error", err)
	}
}

// renew renews leases.
func (q *Queue) renew(d *sched.Task) {
	ids := make([]string, len(d.Msgs))
	for i, m := range d.Msgs {
		ids[i] = m.ID
	}
	lost, err := q.Store.Renew(context.Background(), q.owner, d.At, ids...)
	if err != nil {
		q.log.Error("queue: leases could not be renewed", "error", err)
	}
	gone := make(map[string]bool, len(lost))
	for _, id := range lost {
		gone[id] = true
	}
	q.step(func(core *sched.Scheduler) { core.Renewed(q.clock.now(), d.Msgs, d.At, gone, err != nil) })
}
