package queue

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// An active is a message in memory: leased, on its way. The scheduler has its
// place among the others, the Queue what it says and what became of it.
type active struct {
	sched.Message
	m        *Message
	owner    string   // of its lease
	lifetime Lifetime // the retry policy's; set before the first part exists
	one      part     // the first part; most messages have no other

	// What is to be recorded. The Queue's lock guards it, and the state of m's
	// recipients.
	changed bool     // a recipient's state differs from what is stored
	tried   bool     // an attempt has brought a result
	order   *Op      // what an operator wants done with it
	due     *reports // what its sender is to be told before; nil for nothing
}

// owed are the reports that are due, to be added to.
func (a *active) owed() *reports {
	if a.due == nil {
		a.due = new(reports)
	}
	return a.due
}

// reports are what a message's sender is to be told, before it is recorded.
type reports struct {
	failed, succeeded []*Recipient
	failedUntil       time.Time // when the last of the failed ones expires; zero is never
	delayed           []delay
}

// A delay is a recipient whose sender is to be notified that it waits until
// expire; zero is for ever.
type delay struct {
	r      *Recipient
	expire time.Time
}

// newActive makes a message active that is leased to owner.
func (q *Queue) newActive(m *Message, owner string, until time.Time) *active {
	a := &active{m: m, owner: owner}
	a.ID, a.Priority, a.Lease, a.Load = m.ID, m.Priority, until, a
	a.Suspect = m.Interrupted > 0 && !q.poisonous(a)
	return a
}

func activeOf(m *sched.Message) *active { return m.Load.(*active) }

// A part is those recipients of a message that go to one hop in one Deliver
// call.
type part struct {
	sched.Part
	rcpts []*Recipient
}

// newPart makes a part; the first one of a message costs no allocation.
func (a *active) newPart(h *sched.Hop, rcpts []*Recipient) *part {
	p := &a.one
	if p.Msg != nil {
		p = new(part)
	}
	p.Msg, p.Hop, p.Recipients, p.Load, p.rcpts = &a.Message, h, len(rcpts), p, rcpts
	return p
}

func partOf(p *sched.Part) *part { return p.Load.(*part) }

// message is the message that the part belongs to.
func (p *part) message() *active { return activeOf(p.Msg) }

// A hopInfo is what the Queue knows of a next hop, beside the scheduler. The
// Queue's lock guards it.
type hopInfo struct {
	pace   Pace   // what the Pacer said last
	last   Result // why it could not be reached the last time
	counts HopCounts
	since  time.Time // when counts began
}

// HopCounts are totals since the hop was first used or last forgotten.
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

// fail notes that a recipient has failed, which would have expired then.
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

// waitAll notes that recipients wait for a hop, for reasons of their own.
func (a *active) waitAll(key NextHop, rcpts []*Recipient, now time.Time) {
	for range rcpts {
		a.Wait(sched.Key(key), now, now)
	}
}

// schedule is what the recipients wait for that have not ended.
func (a *active) schedule() Schedule {
	due, key := a.Due()
	hop := NextHop(key)
	return Schedule{Due: due, Hop: hop, Volatile: !a.changed && !aside(hop)}
}

// snapshot is the message as it is to be recorded while parts of it are still
// on their way: what has failed but is not reported yet still waits. It is
// called in a step.
func (a *active) snapshot() *Message {
	m := *a.m
	m.Recipients = make([]*Recipient, len(a.m.Recipients))
	copies := make([]Recipient, len(a.m.Recipients))
	var failed map[*Recipient]bool
	if a.due != nil {
		failed = set(a.due.failed)
	}
	for i, r := range a.m.Recipients {
		copies[i] = *r
		if failed[r] {
			copies[i].Status = Waiting
		}
		m.Recipients[i] = &copies[i]
	}
	return &m
}

// set has the recipients; of a message for thousands a search for each in a
// list would take seconds.
func set(rs []*Recipient) map[*Recipient]bool {
	if len(rs) == 0 {
		return nil
	}
	s := make(map[*Recipient]bool, len(rs))
	for _, r := range rs {
		s[r] = true
	}
	return s
}
