package queue

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A recorder records in the store what became of messages. Before that, it has
// the reporter send the reports that are due. The scheduler ensures that one
// goroutine at a time records a message. When the store cannot record, nothing
// is delivered, and the recorder tries again later.
type recorder struct {
	store    Store
	leases   LeaseGuard // the store, if it is one
	driver   *driver
	clock    *clock
	carryOut func(todo []sched.Decision)
	reporter reporter
	log      *slog.Logger
	results  bool                                                              // the application gets final results
	wait     func(n int, last *Result) time.Duration                           // before the next attempt
	execute  func(ctx context.Context, a *active, stored NextHop, op Op) error // carries out an order

	concluded  *concludedList // nil: the store is not shared
	unrecorded []*active      // what the store could not record; the driver's lock guards it
}

// step passes events to the core, and carries out the decisions that they cause.
func (r *recorder) step(events func(core *sched.Scheduler)) {
	var few [2]sched.Decision
	if todo := r.driver.decide(few[:0], events); len(todo) > 0 {
		r.carryOut(slices.Clone(todo)) // so that few needs no allocation when there is none
	}
}

// newRecorder returns the recorder of a Queue whose other fields are set.
func newRecorder(q *Queue) recorder {
	keep := q.keepInStore
	if q.BadMail != nil {
		keep = func(ctx context.Context, bad *Message) (string, error) { return "", q.BadMail(ctx, bad) }
	}
	reports := reporter{Reports: q.Reports, host: q.host, log: q.log, submit: q.submitReport, keep: keep, emit: q.emit, counts: &q.counts}
	var concluded *concludedList
	if q.node.cluster != nil {
		concluded = &q.node.concluded
	}
	return recorder{concluded: concluded, results: q.FinalResults != nil, store: q.Store, leases: q.leases, driver: &q.driver, clock: &q.clock, carryOut: q.carryOut, reporter: reports, log: q.log, wait: q.wait, execute: q.execute}
}

// record records a message, once or until nothing has changed meanwhile.
func (r *recorder) record(a *active) {
	for again := true; again; {
		var final, lost bool
		var p *progress
		var whole bool
		var s Schedule
		r.driver.locked(func(core *sched.Scheduler) {
			if final, lost = core.Recording(&a.Message); !final && !lost {
				p, whole = a.advance()
				s = Schedule{Owner: a.owner, Until: a.Lease}
			}
		})
		var err error
		switch {
		case lost:
			err = ErrLeaseLost
		case final:
			err = r.conclude(a)
		default:
			err = r.recordProgress(a, p, whole, s)
		}
		again = r.recorded(a, final, err)
	}
}

// recordProgress records the state of a message while parts of it are in delivery.
// whole means that the store does not have the state of all recipients yet.
func (r *recorder) recordProgress(a *active, p *progress, whole bool, s Schedule) error {
	var err error
	if u, ok := r.store.(RecipientUpdater); ok && !whole {
		err = u.UpdateRecipients(context.Background(), a.owner, &p.m, p.changed, s)
	} else {
		err = r.store.Update(context.Background(), a.owner, &p.m, s)
	}
	if err != nil {
		r.driver.locked(func(*sched.Scheduler) { a.progress = nil }) // the next record has all recipients
	}
	return err
}

// recorded notes how a recording ended, and reports whether it is to be repeated
// at once.
func (r *recorder) recorded(a *active, final bool, err error) (again bool) {
	outcome := sched.Done
	switch {
	case errors.Is(err, ErrLeaseLost), errors.Is(err, ErrNotFound):
		outcome = sched.Lost
	case err != nil:
		outcome = sched.Failed
	}
	first := false
	r.step(func(core *sched.Scheduler) {
		if outcome == sched.Failed {
			first = !core.Broken()
			r.unrecorded = append(r.unrecorded, a)
		}
		again = core.Recorded(&a.Message, final, outcome)
	})
	if first {
		r.log.Error("queue: deliveries suspended, the store cannot record", "id", a.m.ID, "error", err)
	}
	if outcome == sched.Lost && final && a.changed {
		r.log.Warn("queue: the lease on a message was lost before its result was recorded", "id", a.m.ID, "error", err)
	}
	return again
}

// conclude sends the reports that are due for a message whose parts have all
// ended, and then records its state. It may be called again after an error. No
// worker uses the message any more.
func (r *recorder) conclude(a *active) error {
	ctx := context.Background()
	if a.due != nil {
		if r.leases != nil { // another node may send the same reports
			if err := r.leases.MayFinish(a.owner, a.m.ID); err != nil {
				return err
			}
		}
		r.driver.locked(func(*sched.Scheduler) { a.acquit() })
		r.report(ctx, a)
	}
	var op *Op
	r.driver.locked(func(core *sched.Scheduler) {
		a.acquit()
		if core.Outdated(&a.Message) {
			a.retryOwnCauses(r.clock.now())
		}
		if r.results {
			a.oweResults(r.clock.now())
		}
		op = a.order // stays set, in case this must be repeated
		a.Closing()
		if r.concluded != nil && a.Waiting() > 0 {
			r.concluded.add(a, r.clock.now())
		}
	})
	if op != nil && a.Waiting() > 0 {
		return r.execute(ctx, a, NextHop{}, *op)
	}
	if a.Waiting() == 0 {
		return r.store.Remove(ctx, a.owner, a.m.ID)
	}
	s, due := a.schedule(r.clock)
	if err := r.store.Update(ctx, a.owner, a.m, s); err != nil {
		return err
	}
	r.step(func(core *sched.Scheduler) { core.Kept(sched.Key(s.Hop), due) })
	return nil
}

// report sends the reports that are due for a. Each report is in the store
// before its cause is recorded: a crash in between may send a report twice, but
// loses none. Recipients whose failure cannot be reported now wait again.
func (r *recorder) report(ctx context.Context, a *active) {
	m, due := a.m, a.due
	if len(due.failed) > 0 {
		if err := r.reporter.failed(ctx, m, due.failed, due.failedUntil); err != nil {
			r.log.Error("queue: a failure could not be reported, the recipients wait", "id", m.ID, "error", err)
			r.waitAgain(a, due.failed)
		} else {
			r.reporter.emit(EventFail, m, due.failed, func(e *Event) { e.from(&due.failed[0].Last) })
		}
	}
	if m.From == "" || m.System {
		due.delayed, due.succeeded = nil, nil // there is no sender to report to
	}
	r.reporter.delayed(ctx, m, due.delayed)
	r.reporter.succeeded(ctx, m, due.succeeded)
	r.driver.locked(func(*sched.Scheduler) {
		for _, d := range due.delayed {
			d.r.Notified, a.changed = true, true // or no notification was wanted
		}
		for _, rcpt := range due.succeeded {
			rcpt.Notified, a.changed = true, true // likewise
		}
	})
	a.due = nil
}

// waitAgain makes recipients wait whose failure could not be reported. They will
// be tried again, so the retry policy decides when.
func (r *recorder) waitAgain(a *active, failed []*Recipient) {
	now := r.clock.now()
	next := now.Add(max(sched.LookAgain, r.wait(failed[0].Attempts+1, &failed[0].Last)))
	r.driver.locked(func(*sched.Scheduler) {
		for _, rcpt := range failed {
			rcpt.Status = Waiting
			rcpt.waitFor(next, now)
			a.WaitUntil(next)
		}
	})
}

// acquit resets the count of crashes during attempts at a message when an
// attempt has ended: only crashes in a row count.
func (a *active) acquit() {
	if a.tried {
		a.m.Interrupted = 0
	}
}

// mend tries whether the store can record again, and if so records what it could
// not record before. It returns the error of Store.Sync.
func (r *recorder) mend() error {
	err := r.store.Sync(context.Background())
	mended := err == nil && r.recordAgain()
	r.step(func(core *sched.Scheduler) { core.Mended(r.clock.now(), mended) })
	if mended {
		r.log.Info("queue: deliveries resumed, the store records again")
	}
	return err
}

// recordAgain records what the store could not record before, and reports whether
// it recorded all of it now.
func (r *recorder) recordAgain() bool {
	var again []*active
	r.driver.locked(func(*sched.Scheduler) { again, r.unrecorded = r.unrecorded, nil })
	for _, a := range again {
		r.record(a)
	}
	all := false
	r.driver.locked(func(*sched.Scheduler) { all = len(r.unrecorded) == 0 })
	return all
}
