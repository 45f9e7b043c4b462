package queue

import (
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/wall"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A clock reads the time in two ways. Its steady time is the wall clock time of
// the clock's first use plus the time that has passed since then, by the
// monotonic clock. It continues evenly when the wall clock is set. Retries,
// leases, timeouts and limits use the steady time. Only what names a time of day
// follows the wall clock: future release, the schedules of next hops, deadlines,
// delay notices and expiry.
//
// A steady time is a time.Time without a monotonic reading. It must not be
// compared with a wall clock time: steady and wallOf convert. Without a step of
// the wall clock, both are the same.
type clock struct {
	began  time.Time    // by the monotonic clock, when the first use was
	base   time.Time    // by the wall clock, likewise
	system *wall.Clock  // the wall clock
	step   atomic.Int64 // how far the wall clock was ahead when that was last checked
}

// minStep is the least step of the wall clock that is noticed. Smaller
// differences come from a clock that is adjusted slowly.
const minStep = time.Second

// start sets the first reading.
func (c *clock) start(system *wall.Clock) {
	c.system = system
	c.began, c.base = time.Now(), c.wall()
	c.step.Store(int64(c.ahead()))
}

// now returns the steady time.
func (c *clock) now() time.Time { return c.base.Add(time.Since(c.began)) }

// wall returns the wall clock time.
func (c *clock) wall() time.Time { return c.system.Now() }

// ahead returns how far the wall clock is ahead of the steady time.
func (c *clock) ahead() time.Duration { return c.wall().Sub(c.now()) }

// wallOf returns the wall clock time for a steady time.
func (c *clock) wallOf(t time.Time) time.Time { return shift(t, c.ahead()) }

// steady returns the steady time for a wall clock time.
func (c *clock) steady(t time.Time) time.Time { return shift(t, -c.ahead()) }

// shift returns t+d. The zero time, which means never or at once, and farFuture
// stay the same.
func shift(t time.Time, d time.Duration) time.Time {
	if t.IsZero() || t.Equal(farFuture) {
		return t
	}
	return t.Add(d)
}

// stepped reports whether the wall clock was set since the last call.
func (c *clock) stepped() bool {
	ahead := c.ahead()
	d := ahead - time.Duration(c.step.Load())
	if d.Abs() < minStep {
		return false
	}
	c.step.Store(int64(ahead))
	return true
}

// checkClock tells the scheduler if the wall clock was set.
func (q *Queue) checkClock() {
	if q.clock.stepped() {
		q.log.Warn("queue: the system's clock was set", "ahead", q.clock.ahead().Round(time.Second))
		q.step(func(core *sched.Scheduler) { core.ClockSet(q.clock.now()) })
	}
}

// waitSlack is how much longer than its wait a retry may seem to be away before
// that shows that the clock went back over a restart.
const waitSlack = time.Minute

// retryAt returns the steady time at which a recipient is due. NextAttempt of a
// recipient with a RetryWait is a steady time, possibly of an earlier process. If
// it is further away than the whole wait, the clock went back since then, and the
// recipient is due now.
func (c *clock) retryAt(r *Recipient, now time.Time) time.Time {
	switch {
	case r.RetryWait <= 0:
		return c.steady(r.NextAttempt)
	case r.NextAttempt.Sub(now) > r.RetryWait+waitSlack:
		return now
	}
	return r.NextAttempt
}

// dueAt returns the steady time at which a stored message is due.
func (c *clock) dueAt(s *Schedule) time.Time {
	if s.Wait <= 0 {
		return c.steady(s.Due)
	}
	return s.Due
}

// claim returns a Claim by owner for now.
func (c *clock) claim(owner string, lease time.Duration) Claim {
	now := c.now()
	return Claim{Owner: owner, Until: now.Add(lease), Now: now, Wall: c.wall()}
}

// waitFor sets the time of the recipient's next attempt.
func (r *Recipient) waitFor(next, now time.Time) {
	r.NextAttempt, r.RetryWait = next, max(next.Sub(now), 1)
}

// retryAtOnce makes the recipient due.
func (r *Recipient) retryAtOnce() { r.NextAttempt, r.RetryWait = time.Time{}, 0 }
