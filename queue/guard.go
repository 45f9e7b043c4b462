package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// guarded calls code of the application: a Deliverer, a hook or a policy. It
// turns a panic into an error. Otherwise the process would die, find the same
// message in its store after the restart, and die again.
func guarded[T any](log *slog.Logger, who string, call func() (T, error)) (answer T, err error) {
	defer func() {
		if r := recover(); r != nil {
			log.Error("queue: "+who+" panicked", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("queue: %s panicked: %v", who, r)
		}
	}()
	return call()
}

// pace returns the Deliverer's settings for a hop.
func (q *Queue) pace(hop NextHop) Pace {
	if q.pacer == nil {
		return Pace{}
	}
	p, _ := guarded(q.log, "Pace", func() (Pace, error) { return q.pacer.Pace(hop), nil })
	return p
}

// releaser returns the function that calls the Deliverer's Release; nil if it has none.
func (q *Queue) releaser() func(NextHop) {
	r, is := q.Deliverer.(Releaser)
	if !is {
		return nil
	}
	return func(hop NextHop) {
		guarded(q.log, "Release", func() (struct{}, error) { r.Release(hop); return struct{}{}, nil })
	}
}

// coreOf returns the part of a Pace that the scheduler needs.
func (q *Queue) coreOf(p *Pace) sched.Pace {
	return sched.Pace{Known: q.pacer != nil, Held: p.Held, Until: q.clock.steady(p.Until), MaxConcurrency: p.MaxConcurrency, PerNode: p.PerNode}
}

// wait calls the RetryPolicy's Wait. After a panic it uses the defaults.
func (q *Queue) wait(n int, last *Result) time.Duration {
	d, err := guarded(q.log, "RetryPolicy.Wait", func() (time.Duration, error) { return q.retry.Wait(n, last), nil })
	if err != nil {
		return Retry{}.Wait(n, last)
	}
	return d
}

// lifetime calls the RetryPolicy's Lifetime. After a panic it uses the defaults.
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

// readable returns err, or another error if err.Error panics (usually because
// err contains a nil pointer).
func (q *Queue) readable(err error) error {
	if err == nil {
		return nil
	}
	text, bad := guarded(q.log, "Result.Err", func() (string, error) { return err.Error(), nil })
	if bad != nil {
		return errors.New("an error whose text cannot be read " + text)
	}
	return err
}
