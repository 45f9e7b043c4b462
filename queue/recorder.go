package queue

import (
	"context"
	"errors"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A recorder brings the store up to date with what became of messages, after
// it has sent the reports that this makes due. One goroutine at a time records
// a message: the scheduler sees to that. When the store cannot record, nothing
// is delivered, and the recorder tries again later.
type recorder struct {
	q          *Queue
	unrecorded []*active // what the store could not take; the Queue's lock guards it
}

// record records a message, once or until nothing has changed meanwhile.
func (r *recorder) record(a *active) {
	for again := true; again; {
		var final, lost bool
		var m *Message
		var s Schedule
		r.q.locked(func(core *sched.Scheduler) {
			if final, lost = core.Recording(&a.Message); !final {
				m, s = a.snapshot(), Schedule{Owner: a.owner, Until: a.Lease}
			}
		})
		var err error
		switch {
		case lost:
			err = ErrLeaseLost
		case final:
			err = r.conclude(a)
		default:
			err = r.q.Store.Update(context.Background(), a.owner, m, s)
		}
		again = r.recorded(a, final, err)
	}
}

// recorded notes how a recording ended, and says whether it is to be repeated
// at once.
func (r *recorder) recorded(a *active, final bool, err error) (again bool) {
	q := r.q
	outcome := sched.Done
	switch {
	case errors.Is(err, ErrLeaseLost), errors.Is(err, ErrNotFound):
		outcome = sched.Lost
	case err != nil:
		outcome = sched.Failed
	}
	first := false
	q.step(func(core *sched.Scheduler) {
		if outcome == sched.Failed {
			first = !core.Broken()
			r.unrecorded = append(r.unrecorded, a)
		}
		again = core.Recorded(&a.Message, final, outcome)
	})
	if first {
		q.log.Error("queue: deliveries suspended, the store cannot record", "id", a.m.ID, "error", err)
	}
	if outcome == sched.Lost && final {
		q.log.Warn("queue: a message was taken out of our hands", "id", a.m.ID, "error", err)
	}
	return again
}

// conclude reports what is to be reported of a message whose parts have all
// ended, and then records how it is. It may be called again after an error. No
// worker touches the message any more.
func (r *recorder) conclude(a *active) error {
	q, ctx := r.q, context.Background()
	if a.due != nil {
		q.locked(func(*sched.Scheduler) { a.acquit() })
		r.report(ctx, a)
	}
	var op *Op
	q.locked(func(core *sched.Scheduler) {
		a.acquit()
		if core.Outdated(&a.Message) {
			a.retryOwnCauses(time.Now())
		}
		op = a.order // kept, should this have to be done again
		a.Closing()
	})
	if op != nil && a.Waiting() > 0 {
		return q.execute(ctx, a, NextHop{}, *op)
	}
	if a.Waiting() == 0 {
		return q.Store.Remove(ctx, a.owner, a.m.ID)
	}
	s := a.schedule()
	if err := q.Store.Update(ctx, a.owner, a.m, s); err != nil {
		return err
	}
	q.step(func(core *sched.Scheduler) { core.Kept(sched.Key(s.Hop), s.Due) })
	return nil
}

// acquit clears a message of the suspicion that it kills its reader when an
// attempt has ended with the process alive: only deaths in a row count.
func (a *active) acquit() {
	if a.tried {
		a.m.Interrupted = 0
	}
}

// mend tries whether the store can record again, and if so lets it have what it
// could not take.
func (r *recorder) mend() {
	mended := r.q.Store.Sync(context.Background()) == nil && r.recordAgain()
	r.q.step(func(core *sched.Scheduler) { core.Mended(time.Now(), mended) })
	if mended {
		r.q.log.Info("queue: deliveries resumed, the store records again")
	}
}

// recordAgain records what the store could not take, and says whether it took
// all of it now.
func (r *recorder) recordAgain() bool {
	var again []*active
	r.q.locked(func(*sched.Scheduler) { again, r.unrecorded = r.unrecorded, nil })
	for _, a := range again {
		r.record(a)
	}
	all := false
	r.q.locked(func(*sched.Scheduler) { all = len(r.unrecorded) == 0 })
	return all
}
