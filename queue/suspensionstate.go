package queue

// The Scheduler and the Store of a Queue have its suspensions: this file adds them,
// ends them in time, and reads them before the first delivery.

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// suspend begins a suspension.
func (q *Queue) suspend(s Suspension) {
	limits := sched.HopLimits{}
	if s.Domain == "" {
		limits = sched.HopLimits(q.hopLimits(s.Hop))
	}
	q.step(func(core *sched.Scheduler) {
		if q.susp.list == nil {
			q.susp.list = suspensionList{}
		}
		q.susp.list[s.key()] = s
		if now := q.clock.now(); s.Domain != "" {
			core.SuspendDomain(now, s.key().domain)
		} else {
			core.SuspendHop(now, sched.Key(s.Hop), limits)
		}
		q.planEnd(core)
	})
}

// resume ends a suspension.
func (q *Queue) resume(key suspended) {
	q.step(func(core *sched.Scheduler) {
		delete(q.susp.list, key)
		q.resumeIn(core, key)
		q.planEnd(core)
	})
}

func (q *Queue) resumeIn(core *sched.Scheduler, key suspended) {
	if now := q.clock.now(); key.domain != "" {
		core.ResumeDomain(now, key.domain)
	} else {
		core.ResumeHop(now, sched.Key(key.hop))
	}
}

// planEnd tells the scheduler when the next suspension ends. It is called in a
// step.
func (q *Queue) planEnd(core *sched.Scheduler) {
	var next time.Time
	for _, s := range q.susp.list {
		if !s.Until.IsZero() && (next.IsZero() || s.Until.Before(next)) {
			next = s.Until
		}
	}
	core.SuspensionsEnd(q.clock.steady(next))
}

// endSuspensions ends the suspensions whose time is over.
func (q *Queue) endSuspensions() {
	var ended []Suspension
	q.step(func(core *sched.Scheduler) {
		wall := q.clock.wall()
		for key, s := range q.susp.list {
			if s.ended(wall) {
				ended = append(ended, s)
				delete(q.susp.list, key)
				q.resumeIn(core, key)
			}
		}
		q.planEnd(core)
	})
	q.forgetSuspensions(q.ctx, ended)
	for i := range ended {
		q.emitSuspension(&ended[i], "end of the suspension: resume", ended[i].operator())
	}
}

// forgetSuspensions removes suspensions that have ended from the Store. One that
// cannot be removed is removed when the Queue starts again.
func (q *Queue) forgetSuspensions(ctx context.Context, ended []Suspension) {
	if q.susp.store == nil {
		return
	}
	for _, s := range ended {
		if err := q.susp.store.RemoveSuspension(ctx, s); err != nil {
			q.noteClosed(err)
			q.log.Warn("queue: a suspension that has ended cannot be removed from the store", "suspended", s.String(), "error", err)
		}
	}
}

// loadSuspensions reads the suspensions of the Store, once. The caller has
// locked q.susp.change.
func (q *Queue) loadSuspensions(ctx context.Context) error {
	if q.susp.loaded || q.susp.store == nil {
		return nil
	}
	all, err := q.susp.store.Suspensions(ctx)
	if err != nil {
		q.noteClosed(err)
		return err
	}
	var ended []Suspension
	for _, s := range all {
		if s.ended(q.clock.wall()) {
			ended = append(ended, s)
			continue
		}
		q.suspend(s)
	}
	q.susp.loaded = true
	q.forgetSuspensions(ctx, ended)
	return nil
}

// followSuspensions applies the changes that other nodes have made to the suspensions
// of the Store.
func (q *Queue) followSuspensions(ctx context.Context) error {
	q.susp.change.Lock()
	defer q.susp.change.Unlock()
	if q.susp.store == nil || !q.susp.loaded { // loadSuspensions reads them first
		return nil
	}
	all, err := q.susp.store.Suspensions(ctx)
	if err != nil {
		q.noteClosed(err)
		return err
	}
	stored := suspensionList{}
	for _, s := range all {
		if !s.ended(q.clock.wall()) {
			stored[s.key()] = s
		}
	}
	here := q.suspensionsNow()
	for key, s := range stored {
		if old, ok := here[key]; !ok || !old.equal(&s) {
			q.suspend(s)
		}
	}
	for key, s := range here {
		if _, ok := stored[key]; !ok && !s.ended(q.clock.wall()) {
			q.resume(key)
		}
	}
	return nil
}

// equal reports whether s and o are the same suspension.
func (s *Suspension) equal(o *Suspension) bool {
	return s.Reason == o.Reason && s.By == o.By && s.Since.Equal(o.Since) && s.Until.Equal(o.Until)
}

// awaitSuspensions reads the suspensions of the Store before the Queue begins to
// deliver. If the Store has an error, it tries again: to deliver mail that is
// suspended would be worse than to wait.
func (q *Queue) awaitSuspensions(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		q.susp.change.Lock()
		err := q.loadSuspensions(q.ctx)
		q.susp.change.Unlock()
		if err == nil || q.isStopping() || ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrClosed) {
			return errStoreClosed
		}
		q.log.Error("queue: nothing is delivered, because the suspensions cannot be read from the store", "error", err)
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-q.wake:
		case <-q.storeClosed:
		case <-ctx.Done():
		}
	}
}

// suspensionsNow returns a copy of the suspensions.
func (q *Queue) suspensionsNow() (list suspensionList) {
	q.locked(func(*sched.Scheduler) { list = maps.Clone(q.susp.list) })
	return list
}

// of returns the suspension that applies to a hop, or nil.
func (l suspensionList) of(hop NextHop) *Suspension {
	if len(l) == 0 {
		return nil
	}
	s, ok := l[suspended{hop: hop}]
	if !ok {
		s, ok = l[suspended{domain: addr.FoldDomain(hop.Destination)}]
	}
	if !ok {
		return nil
	}
	return &s
}

func (s *Suspension) operator() operator { return operator{s.By, s.Reason} }

// emitSuspension sends the event of a suspension.
func (q *Queue) emitSuspension(s *Suspension, text string, by operator) {
	q.emit(EventOperation, nil, nil, func(e *Event) {
		e.Hop, e.Text = s.Hop, text+" queue"
		if s.Domain != "" {
			e.Text = text + " domain " + s.Domain
		}
		by.sign(e)
	})
}
