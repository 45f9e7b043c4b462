package queue

import (
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// of returns the lifetime of the recipient r of m. p comes from the retry
// policy. The Pace of the next hop overrides it, and the deadline of the
// recipient can shorten it.
func (p Lifetime) of(m *Message, r *Recipient, pace *Pace) sched.Lifetime {
	l := sched.Lifetime{From: m.from(), Notice: p.DelayNotice, Expiry: p.Expiry, Notified: r.Notified}
	if pace != nil && pace.DelayNotice != 0 {
		l.Notice = max(pace.DelayNotice, 0)
	}
	if pace != nil && pace.Expiry > 0 {
		l.Expiry = pace.Expiry
	}
	if l.Deadline = deadline(m, r); !l.Deadline.IsZero() {
		l.Return = r.Options.DeliverBy.Mode == smtp.DeliverByReturn
	}
	return l
}

// deadline returns the deadline of the recipient by DELIVERBY (RFC 2852). Zero
// means none.
func deadline(m *Message, r *Recipient) time.Time {
	if r.Options.DeliverBy == nil {
		return time.Time{}
	}
	return m.Received.Add(r.Options.DeliverBy.Time)
}

// from returns the time from which retry and expiry count.
func (m *Message) from() time.Time {
	if m.Options.Release.After(m.Received) {
		return m.Options.Release
	}
	return m.Received
}

// expires returns when the last of m's waiting recipients expires. It is zero if
// one of them never expires. hops are the recipients whose hops are known.
func (q *Queue) expires(m *Message, hops groups) (at time.Time) {
	paces := make(map[*Recipient]*Pace)
	for i := range hops.list {
		pace := q.pace(hops.list[i].hop)
		for _, r := range hops.list[i].rcpts {
			paces[r] = &pace
		}
	}
	lifetime, now := q.lifetime(m), q.clock.wall()
	for _, r := range m.Recipients {
		if r.Status != Waiting {
			continue
		}
		w := lifetime.of(m, r, paces[r]).After(now, 0)
		if w.Expire.IsZero() {
			return time.Time{}
		}
		at = later(at, w.Expire)
	}
	return at
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
