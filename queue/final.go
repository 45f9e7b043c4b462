package queue

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// This file passes final results to the application: see Queue.FinalResults.
//
// A recipient that has ended waits for finalHop until FinalResults has accepted
// its result. For the scheduler, that is a next hop like any other. So the calls
// have delivery slots of their own, and no delivery waits for them.

// FinalResultsQueue is the destination of the messages that wait for
// [Queue.FinalResults]. It is not a next hop.
const FinalResultsQueue = "(final results)"

var finalHop = NextHop{Connector: FinalResultsQueue, Destination: FinalResultsQueue}

const (
	// finalTimeout is the maximum duration of a call of FinalResults.
	finalTimeout = time.Minute
	// The wait after the first failed call. It doubles until finalWaitMost.
	finalWaitFirst = 5 * time.Second
	finalWaitMost  = time.Hour
	// finalTries is how many calls may fail, in about five days.
	finalTries = 128
	// finalShare is the part of the delivery slots that the calls may use.
	finalShare = 10
)

// owesResult reports whether FinalResults has not accepted the final result of
// the recipient yet. An expanded recipient has no result: its members have.
func (m *Message) owesResult(r *Recipient) bool {
	return r.Status != Waiting && r.Status != Expanded && !r.Acknowledged && !m.System
}

// owesResults reports whether results of m must be passed to FinalResults.
func (q *Queue) owesResults(m *Message) bool {
	if q.FinalResults == nil {
		return false
	}
	for _, r := range m.Recipients {
		if m.owesResult(r) {
			return true
		}
	}
	return false
}

// finalLimits are the limits of the calls.
func (q *Queue) finalLimits() HopLimits {
	l := q.limits.Hop
	l.Rate = 0
	l.Concurrency = max(min(l.Concurrency, q.limits.Deliveries/finalShare), 1)
	l.Start = min(l.Start, l.Concurrency)
	return l
}

// addResults adds the recipients whose results are due to groups, and returns the
// times at which others are due.
func (q *Queue) addResults(a *active, gs *groups, now time.Time) (waiting []time.Time) {
	if !q.owesResults(a.m) {
		return nil
	}
	a.results = map[*Recipient]bool{}
	for i, r := range a.m.Recipients {
		if !a.m.owesResult(r) {
			continue
		}
		a.results[r] = true
		if due := q.clock.retryAt(r, now); r.ResultTries > 0 && due.After(now) {
			waiting = append(waiting, due)
			continue
		}
		gs.add(finalHop, a.m.Recipients, i)
	}
	return waiting
}

// passResults calls FinalResults for a part, and appends the decisions that
// follow to todo.
func (q *Queue) passResults(p *part, todo []sched.Decision) []sched.Decision {
	var may bool
	if may, todo = q.mayBegin(p, todo); !may {
		return todo
	}
	a, began := p.message(), q.clock.now()
	q.begin(a)
	ctx, cancel := context.WithTimeout(q.ctx, finalTimeout)
	_, err := guarded(q.log, "FinalResults", func() (struct{}, error) {
		return struct{}{}, q.FinalResults(ctx, a.m, p.rcpts)
	})
	cancel()
	q.end(a)
	now, stopped := q.clock.now(), q.ctx.Err() != nil
	given := 0 // results that are given up
	todo = q.decide(todo, func(core *sched.Scheduler) {
		core.Attempted(now, &p.Part, &sched.Attempt{Begun: began})
		for _, r := range p.rcpts {
			if a.passed(r, err, stopped, now) {
				given++
			}
		}
		core.Ended(&a.Message)
	})
	switch {
	case err == nil || stopped:
	case given > 0:
		q.log.Error("queue: FinalResults failed for the last time, these results are not passed again", "id", a.m.ID, "recipients", given, "error", err)
	default:
		q.log.Warn("queue: FinalResults failed, it is called again later", "id", a.m.ID, "recipients", len(p.rcpts), "error", err)
	}
	return todo
}

// passed notes how a call of FinalResults for the recipient ended. stopped means
// that the Queue has canceled it: it does not count. It is called in a step.
func (a *active) passed(r *Recipient, err error, stopped bool, now time.Time) (givenUp bool) {
	if err != nil && stopped {
		a.Wait(sched.Key(finalHop), now, now)
		return false
	}
	a.changed, a.tried = true, true
	if err != nil {
		r.ResultTries++
		if r.ResultTries < finalTries {
			next := now.Add(finalWait(r.ResultTries))
			r.waitFor(next, now)
			a.Wait(sched.Key(finalHop), next, next)
			return false
		}
	}
	r.Acknowledged = true
	r.retryAtOnce()
	return err != nil
}

// finalWait is the wait after n failed calls.
func finalWait(n int) time.Duration {
	return min(finalWaitFirst<<min(n-1, 20), finalWaitMost)
}

// oweResults makes the recipients that have ended since the message became active
// wait for FinalResults. It is called in a step.
func (a *active) oweResults(now time.Time) {
	for _, r := range a.m.Recipients {
		if a.m.owesResult(r) && !a.results[r] {
			a.Wait(sched.Key(finalHop), now, now)
			a.changed = true
		}
	}
}

// finish removes a message whose waiting recipients were ended by an operator. If
// FinalResults has not accepted the results yet, the message waits for that. If no
// recipient was waiting, the operator gives the results up. (The results of bad
// mail were passed on for the original.)
func (q *Queue) finish(ctx context.Context, a *active, waited bool) error {
	if !waited || !q.owesResults(a.m) {
		return q.Store.Remove(ctx, a.owner, a.m.ID)
	}
	if err := q.Store.Update(ctx, a.owner, a.m, Schedule{Hop: finalHop}); err != nil {
		return err
	}
	q.step(func(core *sched.Scheduler) { core.Kept(sched.Key(finalHop), q.clock.now()) })
	return nil
}
