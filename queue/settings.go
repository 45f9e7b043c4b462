package queue

import (
	"context"
	"time"
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
	q.requests.Add(1)
	q.mu.Lock()
	q.settings++
	q.recheck = recheckAll
	q.recheckAt = time.Time{}
	for _, h := range q.hops {
		h.requests++
		q.retryHop(h)
	}
	q.signal()
	q.mu.Unlock()
}

// What of the waiting mail is to be looked through again.
type recheck uint8

const (
	recheckNone    recheck = iota
	recheckRestart         // what waits because of our own settings
	recheckAll             // and what any host refused by a rule
)

// recheckWaiting begins to look through the waiting mail, if that is wanted.
// It is Run's.
func (q *Queue) recheckWaiting(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.recheck == recheckNone || q.rechecking || q.idle() || now.Before(q.recheckAt) {
		return
	}
	what := q.recheck
	q.recheck, q.rechecking = recheckNone, true
	q.workersDone.Add(1)
	go func() {
		defer q.workersDone.Done()
		n, err := q.lookThrough(what)
		q.mu.Lock()
		q.rechecking = false
		if err != nil {
			q.recheck = max(q.recheck, what)
			q.recheckAt = time.Now().Add(soon)
		}
		q.claimNow()
		q.mu.Unlock()
		switch {
		case err != nil && q.ctx.Err() == nil:
			q.log.Error("queue: the waiting mail cannot be looked through", "error", err)
		case n > 0:
			q.log.Info("queue: mail is tried again with the settings as they are now", "messages", n)
		}
	}()
}

// lookThrough makes the messages due that wait because of our own settings.
func (q *Queue) lookThrough(what recheck) (n int, err error) {
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
		done, err := q.hasten(q.ctx, e, func(m *Message, r *Recipient) bool {
			return r.NextAttempt.After(time.Now()) && (ownCause(&r.Last, what) || q.moved(q.ctx, m, r, s.Hop))
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

func (q *Queue) isStopping() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stopping
}

// moved says whether a recipient that waits for a hop would now go to another.
func (q *Queue) moved(ctx context.Context, m *Message, r *Recipient, waitsFor NextHop) bool {
	if waitsFor == (NextHop{}) || r.Route != (NextHop{}) {
		return false
	}
	hop, err := q.callRoute(ctx, m, r)
	return err == nil && hop != waitsFor
}

// ownCause says whether an attempt came to r because of our own settings, as
// far as the reply tells.
func ownCause(r *Result, what recheck) bool {
	if r.Outcome == Success || r.Reply.Code == 0 && r.Err == nil {
		return false
	}
	code, class := r.Reply.EnhancedCode, r.Class()
	switch {
	case r.Host == "":
		return class == ClassPolicy || class == ClassLocal || code[1] == 4 && code[2] == 4
	case what == recheckAll:
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

// resettle makes those recipients of an active message due at once that met
// settings that have been replaced meanwhile. Called with mu held.
func (q *Queue) resettle(a *active, now time.Time) {
	if a.settings == q.settings {
		return
	}
	for _, r := range a.m.Recipients {
		if r.Status == Waiting && r.NextAttempt.After(now) && ownCause(&r.Last, recheckAll) {
			r.NextAttempt = now
			a.due, a.again = sooner(a.due, now), sooner(a.again, now)
		}
	}
}
