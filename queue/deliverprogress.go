package queue

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Progress reports results of a Deliver call that has not returned. The Queue
// records the recipients whose Outcome is Success at once, so that a crash does
// not deliver to them again. It ignores other outcomes, because the rest of the
// attempt can change them.
//
// Deliver calls Progress when it has delivered to some recipients and must wait
// before it returns: for another transaction, another reply, another host or
// another next hop. A Deliverer that never calls Progress works; its results are
// recorded when Deliver returns.
//
// ctx is the context of the Deliver call or derived from it. rcpts are
// recipients of the call, and results are their results, in the same order.
// Progress waits while the Store records, as long as a write takes. Deliver must
// not use these recipients any more. It still returns a result for each of its
// recipients; the Queue keeps a Success that was reported. After the end of the
// Deliver call, Progress does nothing. Progress is safe for concurrent use.
func Progress(ctx context.Context, rcpts []*Recipient, results []Result) {
	if f, ok := ctx.Value(progressKey{}).(func([]*Recipient, []Result)); ok {
		f(rcpts, results)
	}
}

// WithProgress returns a copy of ctx in which Progress calls f. It is for
// Deliverers that pass a Deliver call on with other recipients, and for tests of
// Deliverers.
func WithProgress(ctx context.Context, f func(rcpts []*Recipient, results []Result)) context.Context {
	return context.WithValue(ctx, progressKey{}, f)
}

type progressKey struct{}

// A deliverContext is the context of one Deliver call. It is a type of its own
// so that a part can contain it: most attempts need no allocation for it.
type deliverContext struct {
	context.Context
	queue *Queue
	part  *part
	began time.Time
	watch *watch // of the lease; nil if it cannot end before its time

	// The lock of the Queue guards these fields.
	open map[*Recipient]bool // without a result; nil before the first Progress
	over bool                // Deliver has returned
}

// deliverContext returns the context for an attempt at a part. A later attempt
// at the same part gets another one, because something may still use the first.
func (q *Queue) deliverContext(parent context.Context, p *part, began time.Time) *deliverContext {
	c := &p.ctx
	if c.part != nil {
		c = new(deliverContext)
	}
	c.Context, c.queue, c.part, c.began, c.watch = parent, q, p, began, nil
	return c
}

// Value implements context.Context.
func (c *deliverContext) Value(key any) any {
	switch key {
	case progressKey{}:
		return c.progress
	case transferKey{}:
		return c
	case earlyKey{}:
		if c.watch != nil {
			return c.watch.early
		}
	case finishKey{}:
		if c.watch != nil {
			return c.mayFinish
		}
		return nil
	}
	return c.Context.Value(key)
}

// progress records the recipients that were delivered. It does what
// Queue.attempt does for them when Deliver returns.
func (c *deliverContext) progress(rcpts []*Recipient, results []Result) {
	q, a, hop := c.queue, c.part.message(), NextHop(c.part.Hop.Key)
	var delivered []verdict
	now := q.clock.now()
	todo := q.decide(nil, func(core *sched.Scheduler) {
		for i, r := range rcpts[:min(len(rcpts), len(results))] {
			if results[i].Outcome == Success && c.ends(r) {
				res := results[i]
				delivered = append(delivered, verdict{r: r, hop: hop, res: &res, status: Delivered})
			}
		}
		for i := range delivered {
			hopData(c.part.Hop).counts.add(Delivered)
			a.apply(&delivered[i], now, &q.clock)
		}
		if len(delivered) > 0 {
			core.Progressed(&a.Message)
		}
	})
	q.emitAttempt(a.m, hop, delivered, now.Sub(c.began))
	q.carryOut(todo)
}

// ends reports whether r is a recipient of the call that has no result yet. It
// then counts as one that has. It is called in a step.
func (c *deliverContext) ends(r *Recipient) bool {
	if c.over {
		return false
	}
	if c.open == nil {
		c.open = set(c.part.rcpts)
	}
	was := c.open[r]
	delete(c.open, r)
	return was
}

// end notes that Deliver has returned these results. It replaces those of the
// recipients that Progress has reported.
func (c *deliverContext) end(results []Result) {
	c.queue.locked(func(*sched.Scheduler) { c.over = true })
	if c.open == nil {
		return // Progress was not called
	}
	for i, r := range c.part.rcpts {
		if !c.open[r] {
			results[i] = r.Last
		}
	}
}
