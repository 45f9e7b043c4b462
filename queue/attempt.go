package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-smtp"
)

// attempt delivers a part, once, and draws the consequences.
func (q *Queue) attempt(p *part) {
	a, h := p.msg, p.hop
	pace := q.pace(h.key)
	if pace.Held {
		q.turnBack(p, pace)
		return
	}
	if q.forestalled(p) {
		return
	}
	started := time.Now()
	q.begin(a)
	results := q.callDeliver(h.key, a.m, p.rcpts)
	q.end(a)
	failDamaged(results)
	now := time.Now()

	var few [2]verdict // for most messages, without an allocation
	verdicts := q.judgeAll(few[:0], p, results, &pace.Pace, now)
	var down *Result       // why nobody could be spoken with
	var wait time.Duration // of the hop, if it is dead for that
	if q.ctx.Err() == nil {
		if down = unreachable(results); down != nil {
			wait = max(q.hopWait(h, &pace.Pace, down), shortestRetry)
		}
	}

	q.mu.Lock()
	h.inflight--
	h.used = now
	h.counts.Attempts++
	q.setPace(h, pace)
	asked := p.requests != h.requests
	if asked {
		wait = 0
	}
	parked, turned := q.learn(p, down, verdicts, started, now, now.Add(wait))
	if turned {
		window := h.window
		q.mu.Unlock()
		q.tell(EventThrottle, nil, nil, func(e *Event) {
			e.Hop, e.Text = h.key, fmt.Sprintf("%d deliveries at a time", window)
		})
		return
	}
	for i := range verdicts {
		if asked {
			verdicts[i].hasten(now)
		}
		h.counts.add(verdicts[i].status)
		q.apply(a, &verdicts[i], now)
	}
	record := q.ended(a)
	q.mu.Unlock()
	q.tellAttempt(a.m, h.key, verdicts, now.Sub(started))
	if record {
		q.record(a)
	}
	q.parkAll(parked)
}

// judgeAll judges the results of an attempt.
func (q *Queue) judgeAll(vs []verdict, p *part, results []Result, pace *Pace, now time.Time) []verdict {
	vs = slices.Grow(vs, len(p.rcpts))
	for i, r := range p.rcpts {
		if o := results[i].Outcome; q.ctx.Err() != nil && o != Success && o != Failure {
			// Broken off by ourselves: as if it had not been.
			vs = append(vs, verdict{r: r, hop: p.hop.key, next: r.NextAttempt, again: r.NextAttempt})
		} else {
			vs = append(vs, q.judge(p.msg, r, p.hop.key, pace, &results[i], now))
		}
	}
	return vs
}

// learn draws the consequences of an attempt for the hop: it answered, is
// overcrowded, so that the part was put back into its queue (turned), or is
// dead, and the parts returned are to be parked. Called with mu held.
func (q *Queue) learn(p *part, down *Result, vs []verdict, started, now, retryAt time.Time) (parked *part, turned bool) {
	h := p.hop
	switch {
	case down == nil:
		q.up(h, now)
	case h.crowded(started):
		h.narrow()
		if p.turned < maxTurned { // waiting for a limit costs no attempt
			p.turned++
			q.enqueue(p)
			return nil, true
		}
		q.ring(h)
	default:
		if !h.dead { // else found by another attempt, meanwhile
			h.unreached(down, now, retryAt)
			parked = q.down(h)
		}
		for i := range vs {
			vs[i].waitFor(h)
		}
	}
	return parked, false
}

// maxTurned is how often a part is put back into the queue because its hop
// was overcrowded; then it is deferred as any other.
const maxTurned = 3

// callDeliver is Deliver, kept to its contract.
func (q *Queue) callDeliver(hop NextHop, m *Message, rcpts []*Recipient) []Result {
	results, err := guarded(q, "Deliver", func() ([]Result, error) { return q.Deliverer.Deliver(q.ctx, hop, m, rcpts), nil })
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

// failDamaged makes failures for good of attempts that met damage in the
// stored message: it will not heal, and its sender is to know at once.
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

// callRoute is Route, whose panic is an error, and whose hop has a name.
func (q *Queue) callRoute(ctx context.Context, m *Message, r *Recipient) (NextHop, error) {
	hop, err := guarded(q, "Route", func() (NextHop, error) { return q.Deliverer.Route(ctx, m, r) })
	if hop == (NextHop{}) {
		hop.Destination = DefaultQueue
	}
	return hop, q.readable(err)
}

// unreachable is the result that says that the hop could not be spoken with,
// if no other says that it could.
func unreachable(results []Result) (down *Result) {
	for i := range results {
		if results[i].Outcome != Unreachable {
			return nil
		}
		down = &results[0]
	}
	return down
}

// hopWait is how long a hop is left alone that did not answer.
func (q *Queue) hopWait(h *hop, pace *Pace, down *Result) time.Duration {
	q.mu.Lock()
	fails := h.fails
	q.mu.Unlock()
	if len(pace.Retry) > 0 {
		return pace.Retry[min(fails, len(pace.Retry)-1)]
	}
	return q.wait(fails+1, down)
}

// waitFor makes a recipient that was tried in vain wait until its hop is
// tried again, as all others that wait for it.
func (v *verdict) waitFor(h *hop) {
	if v.status == Waiting {
		v.next, v.again = h.lastAt, h.retryAt
	}
}

// hasten makes a recipient due at once, whose mail was asked for while it was
// tried in vain.
func (v *verdict) hasten(now time.Time) {
	if v.status == Waiting {
		v.next, v.again = now, now
	}
}

// up notes that a hop answered. Called with mu held.
func (q *Queue) up(h *hop, now time.Time) {
	h.reached(now)
	q.watch(h)
}

// down puts a dead hop aside and returns the parts that waited for it. Called
// with mu held.
func (q *Queue) down(h *hop) *part {
	parts := h.take()
	q.watch(h)
	return parts
}

// watch draws the consequences of a hop's having been closed or opened, for
// whatever reason: claims, timers, the ring. Called with mu held.
func (q *Queue) watch(h *hop) {
	if !h.waiting() {
		h.sweepAt, h.sweep = time.Time{}, time.Time{}
	} else if h.sweepAt.IsZero() {
		h.sweepAt = time.Now().Add(sweepInterval)
	}
	if at := h.next(); !at.IsZero() {
		q.timers.set(h, at)
		q.wakeAt(at)
	} else {
		q.timers.clear(h)
	}
	q.relieve(h)
	q.hold(h)
	q.ring(h)
	q.kick()
}

// parkAll ends parts without an attempt, because their hop was closed.
func (q *Queue) parkAll(p *part) {
	for now := time.Now(); p != nil; {
		a, next := p.msg, p.next
		q.mu.Lock()
		q.park(a, p.hop, p.rcpts, now)
		record := q.ended(a)
		q.mu.Unlock()
		if record {
			q.record(a)
		}
		p = next
	}
}

// forestalled ends a part without an attempt when an operator wants something
// else done with its message.
func (q *Queue) forestalled(p *part) bool {
	q.mu.Lock()
	if p.msg.order.what == 0 {
		p.requests = p.hop.requests
		q.mu.Unlock()
		return false
	}
	p.hop.inflight--
	p.msg.waitAll(p.hop, p.rcpts, time.Now())
	q.watch(p.hop) // another may be the probe, if this was to be one
	record := q.ended(p.msg)
	q.mu.Unlock()
	if record {
		q.record(p.msg)
	}
	return true
}

// turnBack parks a part, and all others of its hop, since the Pacer holds it.
func (q *Queue) turnBack(p *part, pace pace) {
	q.mu.Lock()
	p.hop.inflight--
	q.setPace(p.hop, pace)
	p.next = p.hop.take()
	q.mu.Unlock()
	q.parkAll(p)
}

// setPace notes what the Pacer said. Called with mu held.
func (q *Queue) setPace(h *hop, p pace) {
	var askAt time.Time
	switch {
	case q.pacer != nil && p.requests != q.requests.Load():
		askAt = time.Now() // its mail may have been asked for since
	case p.Held:
		askAt = p.Until
	}
	h.pace = p.Pace
	if p.Held == h.closed && askAt.Equal(h.askAt) {
		return
	}
	h.closed, h.askAt = p.Held, askAt
	q.watch(h)
}
