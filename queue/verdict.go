package queue

import (
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A verdict is what an attempt, or the lack of one, means for a recipient.
type verdict struct {
	r       *Recipient
	hop     NextHop
	res     *Result // what the attempt brought; nil where there was none
	status  Status
	next    time.Time // when it is due again, for Waiting, and
	again   time.Time // when to look at it if it waits for several hops
	delayed bool      // its sender is to be notified of the delay
	expire  time.Time // when it expires; zero is never
}

// judge says what a result means. It needs no lock: only the part's own worker
// changes its recipients.
func (q *Queue) judge(a *active, r *Recipient, hop NextHop, pace *Pace, res *Result, now time.Time) verdict {
	v := verdict{r: r, hop: hop, res: res}
	if res.Outcome == Success {
		v.status = Delivered
		return v
	}
	life := a.lifetime.of(a.m, r, pace)
	if res.Outcome == Failure {
		v.status, v.expire = Failed, life.After(now, 0).Expire
		return v
	}
	var wait time.Duration
	if pace != nil && len(pace.Retry) > 0 {
		wait = pace.Retry[min(r.Attempts, len(pace.Retry)-1)]
	} else {
		wait = q.wait(r.Attempts+1, res)
	}
	v.wait(life.After(now, max(wait, shortestRetry)))
	v.again = v.next
	return v
}

// wait makes the verdict that the recipient waits on, or has expired.
func (v *verdict) wait(w sched.Wait) {
	v.next, v.delayed, v.expire = w.Retry, w.Notify, w.Expire
	if w.Expired {
		v.status = Expired
	}
}

// lateVerdict judges a recipient that waits for a closed hop: ok is false while
// it waits on and its sender need not be notified.
func (a *active) lateVerdict(h *sched.Hop, r *Recipient, now, again time.Time) (v verdict, ok bool) {
	data := hopData(h)
	v = verdict{r: r, hop: NextHop(h.Key)}
	v.wait(a.lifetime.of(a.m, r, &data.pace).After(now, 0))
	v.again = again
	if v.status == Waiting && !v.delayed {
		return v, false
	}
	if r.LastAttempt.IsZero() && !h.Info().DownAt.IsZero() {
		r.Last = data.last // the words that the report will need
	}
	return v, true
}

// apply makes a verdict the recipient's state. It is called in a step.
func (a *active) apply(v *verdict, now time.Time) {
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
		a.Wait(sched.Key(v.hop), v.next, v.again)
		if v.delayed {
			a.owed().delayed = append(a.owed().delayed, delay{r, v.expire})
		}
	case Delivered:
		a.Urgent()
		if wants(r, smtp.DSNNotifySuccess) {
			r.Notified = false // of a delay, perhaps
			a.owed().succeeded = append(a.owed().succeeded, r)
		}
	default:
		a.owed().fail(r, v.expire)
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
