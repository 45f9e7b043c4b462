package queue

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// SettingsChanged retries the mail that waits because of local settings. Call
// it after a change, for example of a domain list, a password or a certificate.
// A Deliverer that is a [Changer] calls it by itself. It retries:
//
//   - mail without a connector (4.4.4);
//   - mail whose connector or host was replaced;
//   - mail that a security or permission rule deferred (4.7.x);
//   - mail that was deferred for a local reason;
//   - mail for next hops that were unreachable or outside their schedule.
//
// SettingsChanged starts this work and returns. Run does the same when it
// begins, with one exception: it does not retry mail that another host deferred
// with 4.7.x, because greylisting uses these codes too. It does retry mail after
// the reply codes of AUTH (RFC 4954).
func (q *Queue) SettingsChanged() {
	q.setup()
	q.step(func(core *sched.Scheduler) { core.Changed(q.clock.now()) })
}

// recheckWaiting calls recheckStored in its own goroutine.
func (q *Queue) recheckWaiting(scope sched.Scope) {
	q.workersDone.Add(1)
	go func() {
		defer q.workersDone.Done()
		n, err := q.recheckStored(scope)
		q.step(func(core *sched.Scheduler) { core.Rechecked(q.clock.now(), scope, err != nil) })
		switch {
		case err != nil && q.ctx.Err() == nil:
			q.log.Error("queue: waiting mail cannot be checked for changed settings", "error", err)
		case n > 0:
			q.log.Info("queue: mail is retried with the current settings", "messages", n)
		}
	}()
}

// recheckStored makes the stored messages due that wait because of local
// settings, and returns their number.
func (q *Queue) recheckStored(scope sched.Scope) (n int, err error) {
	for e, err := range q.Store.List(q.ctx, Query{}) {
		if err != nil {
			return n, err
		}
		s := e.Schedule
		if aside(s.Hop) || s.Owner != "" || !q.clock.dueAt(&s).After(q.clock.now()) {
			continue
		}
		if q.isStopping() {
			return n, nil
		}
		done, err := q.retryNow(q.ctx, e, func(m *Message, r *Recipient) bool {
			now := q.clock.now()
			return q.clock.retryAt(r, now).After(now) && (ownCause(&r.Last, scope) || q.routeChanged(q.ctx, m, r, s.Hop))
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

// routeChanged reports whether a recipient that waits for one hop is now routed
// to another.
func (q *Queue) routeChanged(ctx context.Context, m *Message, r *Recipient, waitsFor NextHop) bool {
	if waitsFor == (NextHop{}) || r.Route != (NextHop{}) {
		return false
	}
	hop, err := q.callRoute(ctx, m, r)
	return err == nil && hop != waitsFor
}

// ownCause reports whether the failure r is caused by local settings, as far as
// its reply shows.
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

// aboutCredentials reports whether code is a reply code of AUTH (RFC 4954, 6).
func aboutCredentials(code int) bool {
	switch code {
	case 432, 454, 530, 534, 535, 538:
		return true
	}
	return false
}

// retryOwnCauses makes the recipients of an active message due at once whose
// failure is caused by local settings. The settings have changed since the
// attempt began. It is called in a step.
func (a *active) retryOwnCauses(now time.Time) {
	for _, r := range a.m.Recipients {
		if r.Status == Waiting && r.NextAttempt.After(now) && ownCause(&r.Last, sched.ScopeAll) {
			r.NextAttempt = now
			a.Hasten(now)
		}
	}
}
