package queue

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// SettingsChanged has the mail tried at once that waits because of this relay's
// own settings: call it after a domain list, a password, a certificate or the
// like was replaced. A Deliverer that is a [Changer] does so by itself. The
// mail is that which has no connector (4.4.4), that whose connector or host was
// replaced, that which a rule about security or permission keeps (4.7.x), and
// that which failed for a reason on our side. Next hops that did not answer, or
// that were closed, are tried again too.
//
// SettingsChanged does not wait for that. Run does the same when it begins, but
// leaves out what another host refused with 4.7.x, as greylisting does.
func (q *Queue) SettingsChanged() {
	q.setup()
	q.step(func(core *sched.Scheduler) { core.Changed(time.Now()) })
}

// recheckWaiting looks through the waiting mail, in a goroutine of its own.
func (q *Queue) recheckWaiting(scope sched.Scope) {
	q.workersDone.Add(1)
	go func() {
		defer q.workersDone.Done()
		n, err := q.recheckStored(scope)
		q.step(func(core *sched.Scheduler) { core.Rechecked(time.Now(), scope, err != nil) })
		switch {
		case err != nil && q.ctx.Err() == nil:
			q.log.Error("queue: the waiting mail cannot be looked through", "error", err)
		case n > 0:
			q.log.Info("queue: mail is tried again with the settings as they are now", "messages", n)
		}
	}()
}

// recheckStored makes the messages due that wait because of our own settings.
func (q *Queue) recheckStored(scope sched.Scope) (n int, err error) {
	for e, err := range q.Store.List(q.ctx, Query{}) {
		if err != nil {
			return n, err
		}
		s := e.Schedule
		if aside(s.Hop) || s.Owner != "" || !s.Due.After(time.Now()) {
			continue
		}
		if q.isStopping() {
			return n, nil
		}
		done, err := q.retryNow(q.ctx, e, func(m *Message, r *Recipient) bool {
			return r.NextAttempt.After(time.Now()) && (ownCause(&r.Last, scope) || q.routeChanged(q.ctx, m, r, s.Hop))
		})
		if err != nil {
			return n, err
		}
		if done {
			n++
		}
	}
	return n, nil
}

func (q *Queue) isStopping() (stopping bool) {
	q.locked(func(core *sched.Scheduler) { stopping = core.Stopping() })
	return stopping
}

// routeChanged reports whether a recipient that waits for a hop would now go to another.
func (q *Queue) routeChanged(ctx context.Context, m *Message, r *Recipient, waitsFor NextHop) bool {
	if waitsFor == (NextHop{}) || r.Route != (NextHop{}) {
		return false
	}
	hop, err := q.callRoute(ctx, m, r)
	return err == nil && hop != waitsFor
}

// ownCause says whether an attempt came to r because of our own settings, as
// far as the reply tells.
func ownCause(r *Result, scope sched.Scope) bool {
	if r.Outcome == Success || r.Reply.Code == 0 && r.Err == nil {
		return false
	}
	code, class := r.Reply.EnhancedCode, r.Class()
	switch {
	case r.Host == "":
		return class == ClassPolicy || class == ClassLocal || code[1] == 4 && code[2] == 4
	case scope == sched.ScopeAll:
		return class == ClassPolicy
	}
	return aboutCredentials(r.Reply.Code)
}

// aboutCredentials says whether a reply code is one of AUTH's (RFC 4954, 6).
func aboutCredentials(code int) bool {
	switch code {
	case 432, 454, 530, 534, 535, 538:
		return true
	}
	return false
}

// retryOwnCauses makes those recipients of an active message due at once that met
// settings that have been replaced meanwhile. It is called in a step.
func (a *active) retryOwnCauses(now time.Time) {
	for _, r := range a.m.Recipients {
		if r.Status == Waiting && r.NextAttempt.After(now) && ownCause(&r.Last, sched.ScopeAll) {
			r.NextAttempt = now
			a.Hasten(now)
		}
	}
}
