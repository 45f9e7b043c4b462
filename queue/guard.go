package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// guarded calls what somebody else has written: a Deliverer, a hook, a policy.
// Its panic costs the answer and not the process, which would find the same
// message in its store when it starts again, and die of it again.
func guarded[T any](log *slog.Logger, who string, call func() (T, error)) (answer T, err error) {
	defer func() {
		if r := recover(); r != nil {
			log.Error("queue: "+who+" panicked", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("queue: %s panicked: %v", who, r)
		}
	}()
	return call()
}

// pace asks the Deliverer how a hop wants to be served.
func (q *Queue) pace(hop NextHop) Pace {
	if q.pacer == nil {
		return Pace{}
	}
	p, _ := guarded(q.log, "Pace", func() (Pace, error) { return q.pacer.Pace(hop), nil })
	return p
}

// coreOf is what the scheduler needs to know of a Pace.
func (q *Queue) coreOf(p *Pace) sched.Pace {
	return sched.Pace{Known: q.pacer != nil, Held: p.Held, Until: p.Until, MaxConcurrency: p.MaxConcurrency}
}

// wait is the RetryPolicy's Wait.
func (q *Queue) wait(n int, last *Result) time.Duration {
	d, err := guarded(q.log, "RetryPolicy.Wait", func() (time.Duration, error) { return q.retry.Wait(n, last), nil })
	if err != nil {
		return Retry{}.Wait(n, last)
	}
	return d
}

// lifetime is the RetryPolicy's Lifetime.
func (q *Queue) lifetime(m *Message) Lifetime {
	p, err := guarded(q.log, "RetryPolicy.Lifetime", func() (p Lifetime, err error) {
		p.DelayNotice, p.Expiry = q.retry.Lifetime(m)
		return p, nil
	})
	if err != nil {
		p.DelayNotice, p.Expiry = Retry{}.Lifetime(m)
	}
	return p
}

// readable is err, or what stands for it where it cannot say what it is: a
// nil pointer in an error, mostly.
func (q *Queue) readable(err error) error {
	if err == nil {
		return nil
	}
	text, bad := guarded(q.log, "Result.Err", func() (string, error) { return err.Error(), nil })
	if bad != nil {
		return errors.New("an error without words " + text)
	}
	return err
}
