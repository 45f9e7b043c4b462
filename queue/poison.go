package queue

import (
	"context"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Destinations of messages that are set aside for an operator. They are not
// next hops, and the Queue does not claim messages there.
const (
	// SuspendedQueue has the messages that an operator has suspended.
	SuspendedQueue = "(suspended)"
	// PoisonQueue has the poison messages: the process died Limits.Interrupted
	// times in a row while they were in delivery, and then once more while the
	// message was the only one in delivery.
	PoisonQueue = "(poison)"
	// BadMailQueue has the messages that can be neither delivered nor reported.
	BadMailQueue = "(bad mail)"
)

var (
	suspendedHop = NextHop{Destination: SuspendedQueue}
	poisonHop    = NextHop{Destination: PoisonQueue}
	badMailHop   = NextHop{Destination: BadMailQueue}
)

// aside reports whether h is one of these destinations.
func aside(h NextHop) bool { return h == suspendedHop || h == poisonHop || h == badMailHop }

// clearAside removes old bad mail, and expires poison messages whose queue
// lifetime is over.
func (q *Queue) clearAside(now time.Time) {
	hops, err := q.Store.Hops(q.ctx)
	for _, h := range hops {
		switch h.Hop {
		case badMailHop:
			err = q.clearBadMail(now)
		case poisonHop:
			err = q.expirePoison(now)
		}
		if err != nil {
			break
		}
	}
	if err != nil && q.ctx.Err() == nil {
		q.log.Error("queue: old bad mail and poison messages cannot be removed", "error", err)
	}
}

// expirePoison expires poison messages whose queue lifetime is over, so that
// their senders get a report even if no operator acts.
func (q *Queue) expirePoison(now time.Time) error {
	for info, err := range q.Messages(q.ctx, Filter{Hop: &poisonHop, Status: MessagePoison}) {
		if err != nil {
			return err
		}
		if !sched.Reached(info.Expires, now) {
			continue
		}
		if _, err := q.do(q.ctx, info.ID, info.stored, Expire()); err != nil {
			return err
		}
	}
	return nil
}

// poisoned returns the result that the report on a poison message contains.
func poisoned() *Result {
	return refused(554, smtp.EnhancedCode{5, 3, 0}, "The message was set aside: the mail system failed each time it tried to handle it")
}

// putAside records a message as set aside for an operator. No part of it may be
// in delivery.
func (q *Queue) putAside(a *active, hop NextHop) error {
	q.locked(func(*sched.Scheduler) { a.SetAside() })
	return q.Store.Update(context.Background(), a.owner, a.m, Schedule{Due: farFuture, Hop: hop})
}

// poisonous reports whether the process died Limits.Interrupted times in a row
// while the message was in delivery, and then once more while it was the only
// one.
func (q *Queue) poisonous(a *active) bool { return a.m.Interrupted > q.limits.Interrupted }

// begin records in the delivery journal, if the store has one, that an operation
// on the message begins that might crash the process.
func (q *Queue) begin(a *active) {
	if q.journal != nil {
		q.journal.Begin(a.m.ID)
	}
}

// end records that the operation has ended.
func (q *Queue) end(a *active) {
	if q.journal != nil {
		q.journal.End(a.m.ID)
	}
}
