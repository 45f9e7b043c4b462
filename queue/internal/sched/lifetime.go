package sched

import "time"

// A Lifetime is how long one recipient of a message may wait.
type Lifetime struct {
	// From is when the time of the message began to run.
	From time.Time
	// Notice is when the sender is notified of the delay, and Expiry when the
	// recipient expires, both counted from From. Zero is never.
	Notice, Expiry time.Duration
	// Deadline is the recipient's own (DELIVERBY, RFC 2852); zero is none.
	// With Return the recipient expires then (by-mode R), otherwise its sender
	// is notified then (by-mode N).
	Deadline time.Time
	Return   bool
	// Notified is true if the sender has got a delay notice.
	Notified bool
}

// A Wait is what becomes of a recipient that was not delivered.
type Wait struct {
	Retry   time.Duration // until the recipient is due again, unless it has expired
	Notify  bool          // the sender is to be notified of the delay now
	Expired bool          // the recipient has expired
	Expire  time.Time     // when it expires; zero is never
}

// After decides for a recipient that was not delivered at now and would be
// retried after wait: when it is retried, whether its sender is notified now,
// and when it expires. The scheduler, the sweep of waiting mail and the reports
// all use this function.
//
// A recipient gets one last attempt at the moment when it expires.
func (l Lifetime) After(now time.Time, wait time.Duration) Wait {
	notice, expire := l.times()
	w := Wait{Retry: wait, Expire: expire}
	switch {
	case Reached(expire, now):
		w.Expired = true
	case !expire.IsZero() && expire.Before(now.Add(wait)):
		w.Retry = expire.Sub(now)
	}
	w.Notify = !w.Expired && !l.Notified && Reached(notice, now)
	return w
}

// times are when the sender is notified and when the recipient expires; zero
// is never.
func (l Lifetime) times() (notice, expire time.Time) {
	if l.Notice > 0 {
		notice = l.From.Add(l.Notice)
	}
	if l.Expiry > 0 {
		expire = l.From.Add(l.Expiry)
	}
	switch {
	case l.Deadline.IsZero():
	case l.Return: // RFC 2852, 4.1.4: "R" returns the message
		expire = soonest(expire, l.Deadline)
	default: // "N" notifies the sender, and delivery continues
		notice = soonest(notice, l.Deadline)
	}
	return notice, expire
}

// Reached reports whether now is at or after t. The zero time is never reached.
func Reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// soonest is the earlier of two times, where the zero time is never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
