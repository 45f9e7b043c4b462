package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// attempt makes one attempt to deliver a part, and appends the decisions that
// follow to todo.
func (q *Queue) attempt(p *part, hurry bool, todo []sched.Decision) []sched.Decision {
	a, hop := p.message(), NextHop(p.Hop.Key)
	if hop == finalHop {
		return q.passResults(p, todo)
	}
	pace := q.pace(hop)
	if pace.Held {
		return q.decide(todo, func(core *sched.Scheduler) {
			hopData(p.Hop).pace = pace
			core.TurnedBack(q.clock.now(), &p.Part, q.coreOf(&pace))
		})
	}
	var may bool
	if may, todo = q.mayBegin(p, todo); !may {
		return todo
	}
	began := q.clock.now()
	q.begin(a)
	parent := q.ctx
	if hurry {
		parent = q.hurryCtx
	}
	ctx := q.deliverContext(parent, p, began)
	q.watch(ctx)
	results := q.callDeliver(ctx, hop, a.m, p.rcpts)
	ctx.end(results)
	canceled := q.unwatch(ctx) || q.ctx.Err() != nil
	q.end(a)
	failDamaged(results)
	now := q.clock.now()

	var few [2]verdict // for most messages, without an allocation
	verdicts := q.judgeAll(few[:0], p, results, &pace, now, canceled)
	at := sched.Attempt{Begun: began, Pace: q.coreOf(&pace), Host: results[0].Addr, Busy: all(results, Busy)}
	var down *Result // why the hop could not be reached
	if !canceled {
		if all(results, Unreachable) {
			down = &results[0]
			at.Down, at.Wait = true, max(q.hopWait(p, &pace, down), shortestRetry)
		}
	}
	var c sched.Consequence
	window := 0
	todo = q.decide(todo, func(core *sched.Scheduler) {
		data := hopData(p.Hop)
		data.pace = pace
		if !at.Busy {
			data.counts.Attempts++
		}
		if c = core.Attempted(now, &p.Part, &at); c.Turned {
			window = p.Hop.Info().Window
			return
		}
		if c.Died {
			data.last = *down
		}
		data.attempted(now, verdicts)
		for i := range verdicts {
			verdicts[i].follow(&c, now)
			a.apply(&verdicts[i], now, &q.clock)
		}
		core.Ended(&a.Message)
	})
	switch {
	case at.Busy: // no attempt was made
		q.counts.busy.Add(1)
	case c.Turned:
		q.counts.refused.Add(1)
		q.emit(EventThrottle, nil, nil, func(e *Event) { e.Hop, e.Text = hop, fmt.Sprintf("%d deliveries at a time", window) })
	default:
		q.counts.attempted(results, canceled)
		q.emitAttempt(a.m, hop, verdicts, now.Sub(began))
	}
	return todo
}

// judgeAll judges the results of an attempt, except those that Progress has
// reported. canceled means that the Queue has canceled the attempt.
func (q *Queue) judgeAll(vs []verdict, p *part, results []Result, pace *Pace, now time.Time, canceled bool) []verdict {
	vs = slices.Grow(vs, len(p.rcpts))
	for i, r := range p.rcpts {
		if r.Status == Delivered {
			continue // by Progress
		}
		if o := results[i].Outcome; o == Busy || canceled && o != Success && o != Failure {
			// No attempt was made, or the Queue has canceled it: it does not count.
			vs = append(vs, verdict{r: r, hop: NextHop(p.Hop.Key), next: now, again: now})
		} else {
			vs = append(vs, q.judge(p.message(), r, NextHop(p.Hop.Key), pace, &results[i], now))
		}
	}
	return vs
}

// callDeliver calls Deliver. It replaces wrong answers and panics by temporary
// failures.
func (q *Queue) callDeliver(ctx context.Context, hop NextHop, m *Message, rcpts []*Recipient) []Result {
	results, err := guarded(q.log, "Deliver", func() ([]Result, error) { return q.Deliverer.Deliver(ctx, hop, m, rcpts), nil })
	if err == nil && len(results) != len(rcpts) {
		err = fmt.Errorf("queue: Deliver returned %d results for %d recipients", len(results), len(rcpts))
	}
	if err == nil {
		for i := range results {
			results[i].Err = q.readable(results[i].Err)
		}
		return results
	}
	results = make([]Result, len(rcpts))
	for i := range results {
		results[i] = Result{Outcome: Deferred, Err: err, Reply: smtp.SMTPError{
			Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Internal error in delivery"}}
	}
	return results
}

// failDamaged turns the results of attempts that met damage in the stored message
// into permanent failures. A retry cannot help, and the sender must learn of it
// at once.
func failDamaged(results []Result) {
	for i := range results {
		r := &results[i]
		if r.Outcome != Success && r.Outcome != Failure && errors.Is(r.Err, ErrDamaged) {
			err := r.Err
			*r = *refused(554, smtp.EnhancedCode{5, 3, 0}, "The stored message is damaged")
			r.Err = err
		}
	}
}

// callRoute calls Route. It turns a panic into an error, and replaces the zero
// NextHop by DefaultQueue.
func (q *Queue) callRoute(ctx context.Context, m *Message, r *Recipient) (NextHop, error) {
	hop, err := guarded(q.log, "Route", func() (NextHop, error) { return q.Deliverer.Route(ctx, m, r) })
	if hop == (NextHop{}) {
		hop.Destination = DefaultQueue
	}
	return hop, q.readable(err)
}

// all reports whether all results have the same outcome.
func all(results []Result, o Outcome) bool {
	for i := range results {
		if results[i].Outcome != o {
			return false
		}
	}
	return true
}

// hopWait returns the time until the next probe of a hop that could not be
// reached.
func (q *Queue) hopWait(p *part, pace *Pace, down *Result) time.Duration {
	if len(pace.Retry) > 0 {
		return pace.Retry[min(p.Fails, len(pace.Retry)-1)]
	}
	return q.wait(p.Fails+1, down)
}

// follow sets the retry time of a waiting recipient to that of its hop, if the
// attempt has changed the state of the hop.
func (v *verdict) follow(c *sched.Consequence, now time.Time) {
	switch {
	case v.status != Waiting:
	case c.Asked:
		v.next, v.again = now, now
	case c.Down:
		v.next, v.again = c.Since, c.Retry
	}
}
