package queue

import (
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A verdict is the new state of a recipient after an attempt or without one.
type verdict struct {
	r       *Recipient
	hop     NextHop
	res     *Result // the result of the attempt; nil if there was none
	status  Status
	next    time.Time // if Waiting: when it is due again, a steady time
	again   time.Time // if Waiting: when to check a message that waits for several hops
	delayed bool      // a delay notice is due
	expire  time.Time // when it expires, by the wall clock; zero means never
}

// judge returns the verdict for a result. It needs no lock: only the worker of a
// part changes the recipients of that part.
func (q *Queue) judge(a *active, r *Recipient, hop NextHop, pace *Pace, res *Result, now time.Time) verdict {
	v := verdict{r: r, hop: hop, res: res}
	if res.Outcome == Success {
		v.status = Delivered
		return v
	}
	life, wall := a.lifetime.of(a.m, r, pace), q.clock.wallOf(now)
	if res.Outcome == Failure {
		v.status, v.expire = Failed, life.After(wall, 0).Expire
		return v
	}
	var wait time.Duration
	if pace != nil && len(pace.Retry) > 0 {
		wait = pace.Retry[min(r.Attempts, len(pace.Retry)-1)]
	} else {
		wait = q.wait(r.Attempts+1, res)
	}
	v.wait(life.After(wall, max(wait, shortestRetry)), now)
	v.again = v.next
	return v
}

// wait sets the verdict: the recipient continues to wait, or has expired.
func (v *verdict) wait(w sched.Wait, now time.Time) {
	v.next, v.delayed, v.expire = now.Add(w.Retry), w.Notify, w.Expire
	if w.Expired {
		v.status = Expired
	}
}

// lateVerdict returns the verdict for a recipient that waits for a closed hop.
// ok is false if nothing changes: the recipient has not expired, and no delay
// notice is due.
func (a *active) lateVerdict(h *sched.Hop, r *Recipient, now, again time.Time, c *clock) (v verdict, ok bool) {
	data := hopData(h)
	v = verdict{r: r, hop: NextHop(h.Key)}
	v.wait(a.lifetime.of(a.m, r, &data.pace).After(c.wallOf(now), 0), now)
	v.again = again
	if v.status == Waiting && !v.delayed {
		return v, false
	}
	if r.LastAttempt.IsZero() && !h.Info().DownAt.IsZero() {
		r.Last = data.last // the report needs a reason
	}
	return v, true
}

// apply sets the state of the recipient to the verdict. It is called in a step.
func (a *active) apply(v *verdict, now time.Time, c *clock) {
	r := v.r
	r.Status = v.status
	if v.res != nil || v.status != Waiting {
		a.counts.recipient(a.m, v.status, c.wallOf(now))
	}
	if a.progress != nil {
		a.touched = append(a.touched, r)
	}
	if v.res != nil || v.delayed || v.status != Waiting {
		a.changed = true
	}
	if v.res != nil {
		a.tried = true
		r.Attempts++
		r.Last, r.LastAttempt = *v.res, c.wallOf(now)
	}
	switch v.status {
	case Waiting:
		if v.res != nil {
			r.waitFor(v.next, now)
		}
		a.Wait(sched.Key(v.hop), v.next, v.again)
		if v.delayed {
			a.owed().delayed = append(a.owed().delayed, delay{r, v.expire})
		}
	case Delivered:
		a.Urgent()
		if wants(r, smtp.DSNNotifySuccess) {
			r.Notified = false // it may be true because of a delay notice
			a.owed().succeeded = append(a.owed().succeeded, r)
		}
	default:
		a.owed().fail(r, v.expire)
	}
}

// wants reports whether the recipient's NOTIFY parameter contains n (RFC 3461,
// 4.1).
func wants(r *Recipient, n smtp.DSNNotify) bool {
	for _, w := range r.Options.Notify {
		if w == n {
			return true
		}
	}
	return false
}
