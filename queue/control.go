package queue

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Freeze makes Submit refuse all mail with 451 4.3.2 until Thaw; what is in
// the queue is delivered. Reports of the Queue's own still get in.
func (q *Queue) Freeze() { q.freeze(true, "freeze") }

// Thaw undoes Freeze.
func (q *Queue) Thaw() { q.freeze(false, "thaw") }

// Pause stops deliveries until Continue: attempts in progress go on, no other
// is begun. Mail is still taken over.
func (q *Queue) Pause() { q.pauseDeliveries(true, "pause") }

// Continue undoes Pause.
func (q *Queue) Continue() { q.pauseDeliveries(false, "continue") }

func (q *Queue) freeze(to bool, name string) {
	q.setup()
	q.frozen.Store(to)
	q.emit(EventOperation, nil, nil, func(e *Event) { e.Text = name })
}

func (q *Queue) pauseDeliveries(to bool, name string) {
	q.setup()
	q.step(func(core *sched.Scheduler) { core.Pause(to) })
	q.emit(EventOperation, nil, nil, func(e *Event) { e.Text = name })
}

// Drain freezes the Queue, makes everything due at once, and returns when
// nothing is left in the store but what is held for an operator, or when ctx
// ends. Thaw takes mail again.
func (q *Queue) Drain(ctx context.Context) error {
	q.Freeze()
	if _, err := q.Do(ctx, Filter{}, RetryNow()); err != nil {
		return err
	}
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for {
		sums, err := q.Store.Hops(ctx)
		if err != nil {
			return err
		}
		left := 0
		for _, s := range sums {
			if !aside(s.Hop) {
				left += s.Count
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drainTick is how often Drain looks whether anything is left.
const drainTick = 200 * time.Millisecond
