package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// driver runs the scheduler: it has the lock, the loop and the workers. The
// scheduler (queue/internal/sched) makes decisions, the driver carries them out.
//
// The lock is never held over a call to the Store, the Deliverer, a hook or a
// policy.
type driver struct {
	mu       sync.Mutex       // guards core, and what follows
	core     *sched.Scheduler // and all that the core's messages and hops refer to
	except   map[NextHop]bool // for claims: the hops whose mail stays in the store
	exceptOf uint             // the core's HeldVersion of except

	wake        chan struct{}   // wakes the loop
	ctx         context.Context // of Route and Deliver calls; it has the context that Early returns
	hurryCtx    context.Context // the same, of Deliver calls that must hurry
	cancelEarly context.CancelFunc
	workersDone sync.WaitGroup

	watched map[*deliverContext]bool // the attempts in progress; only with a LeaseGuard
}

// step passes events to the core, and carries out the decisions that they cause.
func (q *Queue) step(events func(core *sched.Scheduler)) {
	var few [2]sched.Decision // mostly enough, and needs no allocation
	q.carryOut(q.decide(few[:0], events))
}

// decide passes events to the core with the lock held, and appends the decisions
// that they cause to todo.
func (d *driver) decide(todo []sched.Decision, events func(core *sched.Scheduler)) []sched.Decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	events(d.core)
	todo = d.core.Decisions(todo)
	for i := range todo {
		if todo[i].Kind == sched.StartWorker {
			d.workersDone.Add(1) // before Stop can be called
		}
	}
	return todo
}

// locked calls f with the lock held. f causes no decisions.
func (d *driver) locked(f func(core *sched.Scheduler)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.core)
}

// carryOut carries out the decisions that any event may cause.
func (q *Queue) carryOut(todo []sched.Decision) {
	for i := range todo {
		switch d := &todo[i]; d.Kind {
		case sched.Wake:
			select {
			case q.wake <- struct{}{}:
			default:
			}
		case sched.StartWorker:
			go q.worker()
		case sched.Return:
			q.putBack(d.Part)
		case sched.Share:
			select {
			case q.node.share <- struct{}{}:
			default:
			}
		case sched.Record:
			q.recorder.record(activeOf(d.Msg))
		}
	}
}

// worker does jobs until there is none that may begin. It is a goroutine that
// ends when there is no work.
func (q *Queue) worker() {
	defer q.workersDone.Done()
	var job sched.Decision
	var few [2]sched.Decision
	for {
		q.carryOut(q.decide(few[:0], func(core *sched.Scheduler) { job = core.Ready(&job) }))
		todo := few[:0]
		switch job.Kind {
		case sched.Route:
			todo = q.categorize(activeOf(job.Msg), todo)
		case sched.Deliver:
			todo = q.attempt(partOf(job.Part), job.Hurry, todo)
		default:
			return
		}
		q.carryOut(todo) // here, where the stack is short
	}
}

// run is the loop: one goroutine that runs as long as the Queue. It does the
// tasks that are due, and sleeps until one is due again or an event wakes it.
func (q *Queue) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var closed <-chan struct{}
	if n, ok := q.Store.(CloseNotifier); ok {
		closed = n.Closed()
	}
	for now := q.clock.now(); ctx.Err() == nil; {
		var d sched.Task
		q.step(func(core *sched.Scheduler) {
			if d = core.Due(now); d.Kind == sched.Claim {
				q.copyExcept()
			}
		})
		switch d.Kind {
		case sched.Stop:
			return nil
		case sched.Sleep:
			timer.Reset(d.At.Sub(q.clock.now()))
			select {
			case <-timer.C:
			case <-q.wake:
			case <-ctx.Done():
			case <-closed:
				return errStoreClosed
			case <-q.storeClosed:
				return errStoreClosed
			}
			q.checkClock()
			now = q.clock.now()
		case sched.EndSuspensions:
			q.endSuspensions()
		case sched.Claim:
			if err := q.claim(d.Claim); errors.Is(err, ErrClosed) {
				return errStoreClosed
			}
			if d.Claim.Only == nil {
				now = q.clock.now() // claims go on as long as there is mail and room
			}
		default:
			q.look(&d, now)
		}
	}
	return nil
}

// look does the other tasks.
func (q *Queue) look(d *sched.Task, now time.Time) {
	switch d.Kind {
	case sched.Ask:
		pace := q.pace(NextHop(d.Hop.Key))
		q.step(func(core *sched.Scheduler) {
			hopData(d.Hop).pace = pace
			core.Paced(q.clock.now(), d.Hop, q.coreOf(&pace))
		})
	case sched.Renew:
		q.renew(d)
	case sched.Mend:
		q.noteClosed(q.recorder.mend())
	case sched.Clear:
		q.clearAside(q.clock.wallOf(now))
	case sched.Recheck:
		q.recheckWaiting(d.Scope)
	}
}

// stop ends what Run began: it waits for the attempts in progress, and gives the
// active messages back to the store.
func (q *Queue) stop() {
	q.step(func(core *sched.Scheduler) { core.Stop() })
	q.awaitWorkers()
	q.recorder.recordAgain() // for the last time
	var left []*sched.Message
	q.locked(func(core *sched.Scheduler) { left = core.End() })
	for _, m := range left {
		q.giveBack(activeOf(m))
	}
}

// awaitWorkers waits for the attempts in progress, and renews their leases.
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
		case <-tick.C:
			for now := q.clock.now(); ; {
				var d sched.Task
				q.step(func(core *sched.Scheduler) { d = core.LeasesDue(now) })
				if d.Kind != sched.Renew {
					break
				}
				q.renew(&d)
			}
		}
	}
}

// giveBack gives a message back to the store that has not ended when the Queue
// stops.
func (q *Queue) giveBack(a *active) {
	var m *Message
	q.locked(func(*sched.Scheduler) { m = &a.snapshot().m })
	if err := q.Store.Update(context.Background(), q.owner, m, Schedule{Volatile: true}); err != nil {
		q.log.Warn("queue: a message could not be released at shutdown", "id", m.ID, "error", err)
		return
	}
	if a.order == nil {
		return
	}
	if done, err := q.do(context.Background(), m.ID, NextHop{}, *a.order); !done || err != nil {
		q.log.Warn("queue: an operation on an active message failed", "id", m.ID, "operation", a.order.String(), "error", err)
	}
}
