package queue

import (
	"time"

	"github.com/emersion/go-smtp"
)

// A verdict is what an attempt, or the lack of one, means for a recipient.
type verdict struct {
	r       *Recipient
	hop     NextHop
	res     *Result // what the attempt brought; nil where there was none
	status  Status
	next    time.Time // when it is due again, for Waiting, and
	again   time.Time // when to look at it if it waits for several hops
	delayed bool      // its sender is to be told that it waits
}

// judge says what a result means. It may be called without the Queue's mutex:
// only the part's own worker changes its recipients.
func (q *Queue) judge(a *active, r *Recipient, hop NextHop, pace *Pace, res *Result, now time.Time) verdict {
	v := verdict{r: r, hop: hop, res: res}
	switch res.Outcome {
	case Success:
		v.status = Delivered
		return v
	case Failure:
		v.status = Failed
		return v
	}
	wait, expiry := time.Duration(0), a.expiry
	if pace != nil && len(pace.Retry) > 0 {
		wait = pace.Retry[min(r.Attempts, len(pace.Retry)-1)]
	} else {
		wait = q.wait(r.Attempts+1, res)
	}
	if pace != nil && pace.Expire > 0 {
		expiry = pace.Expire
	}
	v.next = now.Add(max(wait, shortestRetry))
	notice, expire := a.times(r, expiry)
	switch {
	case reached(expire, now):
		v.status = Expired
	case !expire.IsZero():
		v.next = sooner(v.next, expire) // one last attempt when time is up
	}
	v.again = v.next
	v.delayed = v.status == Waiting && !r.Notified && reached(notice, now)
	return v
}

// impatient judges a recipient that waits for a closed hop: ok is false while
// it may go on waiting and nobody need be told.
func (a *active) impatient(h *hop, r *Recipient, now, again time.Time) (v verdict, ok bool) {
	expiry := a.expiry
	if h.pace.Expire > 0 {
		expiry = h.pace.Expire
	}
	notice, expire := a.times(r, expiry)
	v = verdict{r: r, hop: h.key, next: now, again: again}
	switch {
	case reached(expire, now):
		v.status = Expired
	case !r.Notified && reached(notice, now):
		v.delayed = true
	default:
		return v, false
	}
	if r.LastAttempt.IsZero() && !h.lastAt.IsZero() {
		r.Last = h.last // the words that the report will need
	}
	return v, true
}

// times are when the recipient's sender is to be told of a delay, and when
// the recipient expires; zero is never.
func (a *active) times(r *Recipient, expiry time.Duration) (notice, expire time.Time) {
	from := a.m.from()
	if a.notice > 0 {
		notice = from.Add(a.notice)
	}
	if expiry > 0 {
		expire = from.Add(expiry)
	}
	d := a.deadline(r)
	switch {
	case d.IsZero():
	case r.Options.DeliverBy.Mode == smtp.DeliverByReturn:
		if expire.IsZero() || d.Before(expire) {
			expire = d
		}
	default: // RFC 2852, 4.1.4: "N" tells the sender and goes on
		if notice.IsZero() || d.Before(notice) {
			notice = d
		}
	}
	return notice, expire
}

// deadline is the recipient's own, by DELIVERBY (RFC 2852); zero for none.
func (a *active) deadline(r *Recipient) time.Time {
	if r.Options.DeliverBy == nil {
		return time.Time{}
	}
	return a.m.Received.Add(r.Options.DeliverBy.Time)
}

// from is when the message's time began to run.
func (m *Message) from() time.Time {
	if m.Release.After(m.Received) {
		return m.Release
	}
	return m.Received
}

func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// apply makes a verdict the recipient's state. Called with mu held.
func (q *Queue) apply(a *active, v *verdict, now time.Time) {
	r := v.r
	r.Status = v.status
	if v.res != nil || v.delayed || v.status != Waiting {
		a.changed = true
	}
	if v.res != nil {
		a.tried = true
		r.Attempts++
		r.Last, r.LastAttempt = *v.res, now
	}
	switch v.status {
	case Waiting:
		r.NextAttempt = v.next
		a.waits(v.hop, v.next, v.again)
		if v.delayed {
			a.delayed = append(a.delayed, r)
		}
	case Delivered:
		a.delivered = true
		if wants(r, smtp.DSNNotifySuccess) {
			r.Notified = false // of a delay, perhaps
			a.succeeded = append(a.succeeded, r)
		}
	default:
		a.failed = append(a.failed, r)
	}
}

// wants says whether the recipient's NOTIFY names n (RFC 3461, 4.1).
func wants(r *Recipient, n smtp.DSNNotify) bool {
	for _, w := range r.Options.Notify {
		if w == n {
			return true
		}
	}
	return false
}
