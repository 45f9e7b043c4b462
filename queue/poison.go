package queue

import (
	"context"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Next hops that are none: messages that wait there are held for an operator
// and never claimed.
const (
	// SuspendedQueue has the messages that an operator suspended.
	SuspendedQueue = "(suspended)"
	// PoisonQueue has those that were in hand when the process died,
	// Limits.Interrupted times.
	PoisonQueue = "(poison)"
	// BadMailQueue has those that could neither be delivered nor reported.
	BadMailQueue = "(bad mail)"
)

var (
	suspendedHop = NextHop{Destination: SuspendedQueue}
	poisonHop    = NextHop{Destination: PoisonQueue}
	badMailHop   = NextHop{Destination: BadMailQueue}
)

// aside says whether a hop is one of those.
func aside(h NextHop) bool { return h == suspendedHop || h == poisonHop || h == badMailHop }

// clearAside ends bad mail and poison whose time is over.
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
		q.log.Error("queue: what is set aside cannot be cleared", "error", err)
	}
}

// expirePoison gives up the poison that has waited as long as any message
// may: it waits for an operator, but its sender must not wait for ever.
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

// poisoned is what the report on poison says.
func poisoned() *Result {
	return refused(554, smtp.EnhancedCode{5, 3, 0}, "The message was set aside: the mail system failed each time it tried to handle it")
}

// putAside records a message, of which no part is on its way, as held for an
// operator.
func (q *Queue) putAside(a *active, hop NextHop) error {
	q.locked(func(*sched.Scheduler) { a.SetAside() })
	return q.Store.Update(context.Background(), a.owner, a.m, Schedule{Due: farFuture, Hop: hop})
}

// poisonous says that the process died often enough with the message in hand.
func (q *Queue) poisonous(a *active) bool { return a.m.Interrupted >= q.limits.Interrupted }

// begin and end tell the store, if it wants to know, that something is done
// with the message that might kill the process.
func (q *Queue) begin(a *active) {
	if q.journal != nil {
		q.journal.Begin(a.m.ID)
	}
}

func (q *Queue) end(a *active) {
	if q.journal != nil {
		q.journal.End(a.m.ID)
	}
}
