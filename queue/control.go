package queue

import (
	"context"
	"errors"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Freeze makes Submit refuse all mail with 451 4.3.2 until Thaw is called. The
// Queue continues to deliver the mail that it has, and still enqueues its own
// reports.
func (q *Queue) Freeze(ctx context.Context) { q.freeze(ctx, true, "freeze") }

// Thaw ends Freeze: Submit accepts mail again.
func (q *Queue) Thaw(ctx context.Context) { q.freeze(ctx, false, "thaw") }

// Pause stops deliveries until Continue is called. Attempts in progress
// continue, and no new attempt begins. Submit still accepts mail.
func (q *Queue) Pause(ctx context.Context) { q.pauseDeliveries(ctx, true, "pause") }

// Continue ends Pause: deliveries begin again.
func (q *Queue) Continue(ctx context.Context) { q.pauseDeliveries(ctx, false, "continue") }

func (q *Queue) freeze(ctx context.Context, to bool, name string) {
	q.setup()
	q.frozen.Store(to)
	q.emitControl(ctx, NextHop{}, name)
}

func (q *Queue) pauseDeliveries(ctx context.Context, to bool, name string) {
	q.setup()
	q.step(func(core *sched.Scheduler) { core.Pause(to) })
	q.emitControl(ctx, NextHop{}, name)
}

// emitControl sends the event of an operation that does not concern single
// messages.
func (q *Queue) emitControl(ctx context.Context, hop NextHop, text string) {
	q.emit(EventOperation, nil, nil, func(e *Event) {
		e.Hop, e.Text = hop, text
		operatorOf(ctx).sign(e)
	})
}

// Drain calls Freeze, makes all messages due at once, and waits until the store
// is empty. Messages that are set aside for an operator (suspended, poison, bad
// mail) may remain. If ctx ends first, Drain returns its error. The Queue stays
// frozen until Thaw is called.
func (q *Queue) Drain(ctx context.Context) error {
	q.Freeze(ctx)
	q.draining.Add(1)
	defer q.draining.Add(-1)
	var skipped *SkippedError // other nodes deliver these
	if _, err := q.Do(ctx, Filter{}, RetryNow()); err != nil && !errors.As(err, &skipped) {
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

// drainTick is how often Drain checks whether the store is empty.
const drainTick = 200 * time.Millisecond
