package queue

import (
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// An active is an active message: leased and in memory, to be delivered. The
// embedded sched.Message has its state in the scheduler. The other fields are
// for the Queue only.
type active struct {
	sched.Message
	m        *Message
	owner    string   // of its lease
	counts   *counts  // of the Queue
	lifetime Lifetime // the retry policy's; set before the first part exists
	one      part     // the first part; most messages have no other
	fresh    bool     // it comes from Submit, and was not routed before

	// What is to be recorded. The lock of the Queue guards these fields and the
	// state of the recipients of m.
	changed  bool                // the state of a recipient differs from the stored one
	touched  []*Recipient        // those whose state has changed since the last record; only in progress
	progress *progress           // what was recorded while parts are in delivery; nil before
	tried    bool                // an attempt had a result
	order    *Op                 // an operation to perform when the attempts have ended
	due      *reports            // the reports to send first; nil means none
	results  map[*Recipient]bool // those that had ended before, and owe a final result
}

// owed returns the reports that are due, for more to be added.
func (a *active) owed() *reports {
	if a.due == nil {
		a.due = new(reports)
	}
	return a.due
}

// reports are the reports about a message that must be sent before its new state
// is recorded.
type reports struct {
	failed, succeeded []*Recipient
	failedUntil       time.Time // when the last failed recipient expires; zero means never
	delayed           []delay
}

// A delay is a recipient for which a delay notice is due. It waits until expire;
// zero means for ever.
type delay struct {
	r      *Recipient
	expire time.Time
}

// newActive returns an active message for m, which owner has leased.
func (q *Queue) newActive(m *Message, owner string, until time.Time) *active {
	a := &active{m: m, owner: owner, counts: &q.counts}
	a.ID, a.Priority, a.Lease, a.Load = m.ID, m.Options.Priority, until, a
	a.Suspect = m.Interrupted > 0 && !q.poisonous(a)
	a.Alone = a.Suspect && m.Interrupted >= q.limits.Interrupted
	return a
}

func activeOf(m *sched.Message) *active { return m.Load.(*active) }

// A part has the recipients of a message for one Deliver call. All of them go
// to one hop.
type part struct {
	sched.Part
	rcpts []*Recipient
	ctx   deliverContext // of the first attempt
}

// newPart returns a new part. The first part of a message needs no allocation.
func (a *active) newPart(h *sched.Hop, rcpts []*Recipient) *part {
	p := &a.one
	if p.Msg != nil {
		p = new(part)
	}
	p.Msg, p.Hop, p.Recipients, p.Load, p.rcpts = &a.Message, h, len(rcpts), p, rcpts
	return p
}

func partOf(p *sched.Part) *part { return p.Load.(*part) }

// message returns the message of the part.
func (p *part) message() *active { return activeOf(p.Msg) }

// A hopInfo has the state of a next hop that the scheduler does not need. The
// lock of the Queue guards it.
type hopInfo struct {
	pace Pace   // the last one from the Pacer
	last Result // why the hop could not be reached the last time
	// failure is the last result of any attempt that made recipients wait.
	failure Result
	counts  HopCounts
	since   time.Time // when counts began

	// The times are steady.
	failedAt, triedAt, deliveredAt time.Time // of failure, of the last attempt, of the last success
	in, out                        rate
	parked                         int // parts counted in in that were put back to the store before an attempt
}

// arrived counts n parts that were routed to the hop. fresh means that their
// message comes from Submit, and was not in the store before.
func (i *hopInfo) arrived(now time.Time, n int, fresh bool) {
	if !fresh {
		back := min(i.parked, n)
		i.parked -= back
		n -= back
	}
	i.in.add(now, n)
}

// attempted notes the end of an attempt.
func (i *hopInfo) attempted(now time.Time, verdicts []verdict) {
	i.triedAt = now
	waits := false
	for j := range verdicts {
		v := &verdicts[j]
		i.counts.add(v.status)
		switch {
		case v.status == Waiting:
			waits = true
			if v.res != nil {
				i.failure, i.failedAt = *v.res, now
			}
		case v.status == Delivered:
			i.deliveredAt = now
		}
	}
	if !waits {
		i.out.add(now, 1)
	}
}

// HopCounts are totals for a next hop since QueueInfo.Since.
type HopCounts struct {
	Delivered, Deferred, Failed uint64 // recipients
	Attempts                    uint64 // Deliver calls
}

func (c *HopCounts) add(s Status) {
	switch s {
	case Waiting:
		c.Deferred++
	case Delivered:
		c.Delivered++
	default:
		c.Failed++
	}
}

func hopData(h *sched.Hop) *hopInfo {
	if h.Load == nil {
		h.Load = &hopInfo{since: time.Now()}
	}
	return h.Load.(*hopInfo)
}

// fail adds a failed recipient, which would have expired at expire.
func (r *reports) fail(rcpt *Recipient, expire time.Time) {
	if len(r.failed) == 0 {
		r.failedUntil = expire
	} else if !r.failedUntil.IsZero() && !expire.IsZero() {
		r.failedUntil = later(r.failedUntil, expire)
	} else {
		r.failedUntil = time.Time{}
	}
	r.failed = append(r.failed, rcpt)
}

// waitAll records that recipients wait for a hop.
func (a *active) waitAll(key NextHop, rcpts []*Recipient, now time.Time) {
	for range rcpts {
		a.Wait(sched.Key(key), now, now)
	}
}

// schedule returns the schedule of the recipients that have not ended. due is
// the steady time at which the message is due.
func (a *active) schedule(c *clock) (s Schedule, due time.Time) {
	due, key := a.Due()
	hop := NextHop(key)
	s = Schedule{Due: due, Hop: hop, Volatile: !a.changed && !aside(hop)}
	switch now := c.now(); {
	case aside(hop): // not due
	case a.held(c.wall()):
		s.Due = a.m.Options.Release
	default:
		s.Wait = max(due.Sub(now), 1)
	}
	return s, due
}

// held reports whether all recipients wait for the release of the message.
func (a *active) held(wall time.Time) bool {
	return a.m.Options.Release.After(wall) && !slices.ContainsFunc(a.m.Recipients, func(r *Recipient) bool {
		return r.Status == Waiting && r.RetryWait > 0
	})
}
