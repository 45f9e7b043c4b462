package queue

import (
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// lifetime is how long the recipient r of m may wait: by the retry policy, by
// the Pace of its next hop, which comes before that, and by its own deadline.
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

// deadline is the recipient's own, by DELIVERBY (RFC 2852); zero is none.
func deadline(m *Message, r *Recipient) time.Time {
	if r.Options.DeliverBy == nil {
		return time.Time{}
	}
	return m.Received.Add(r.Options.DeliverBy.Time)
}

// from is when the message's time began to run.
func (m *Message) from() time.Time {
	if m.Release.After(m.Received) {
		return m.Release
	}
	return m.Received
}

// expires is when the last of m's waiting recipients expires; zero where one
// of them never does. hops are the recipients whose hops are known.
func (q *Queue) expires(m *Message, hops groups) (at time.Time) {
	paces := make(map[*Recipient]*Pace)
	for i := range hops {
		pace := q.pace(hops[i].hop)
		for _, r := range hops[i].rcpts {
			paces[r] = &pace
		}
	}
	lifetime, now := q.lifetime(m), time.Now()
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
