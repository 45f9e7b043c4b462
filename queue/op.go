package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// An Op is an operation on messages: see [Queue.Do].
type Op struct {
	what opKind
	to   NextHop
	by   operator
}

type opKind uint8

const (
	opSuspend opKind = iota + 1
	opResume
	opRetry
	opResubmit
	opRedirect
	opExpire
	opRemove
	opRemoveReport
	opMakeRoom // removes the oldest bad mail
)

var opNames = [...]string{"", "suspend", "resume", "retry", "resubmit", "redirect", "expire", "remove", "remove with report",
	"removed, because bad mail has reached its limit"}

// String returns the name of the operation, for example "suspend" or "redirect
// to example.net".
func (o Op) String() string {
	if o.what == opRedirect {
		return "redirect to " + o.to.String()
	}
	return opNames[o.what]
}

// Suspend suspends messages: the Queue does not deliver them until they are
// resumed.
func Suspend() Op { return Op{what: opSuspend} }

// Resume resumes suspended messages.
func Resume() Op { return Op{what: opResume} }

// RetryNow makes messages due at once. If they wait for a next hop that could
// not be reached, the Queue probes it; if they wait for a request or for the times of a
// schedule, the next hop is released (see [Releaser]). Suspended messages stay suspended.
func RetryNow() Op { return Op{what: opRetry} }

// Resubmit routes messages again as if they were new, and removes the routes of
// their recipients (Recipient.Route). Poison messages and bad mail are
// resubmitted as copies with a new ID.
func Resubmit() Op { return Op{what: opResubmit} }

// Redirect sends messages to another next hop. The Deliverer does not route
// them.
func Redirect(to NextHop) Op { return Op{what: opRedirect, to: to} }

// Expire expires messages at once. Their senders get the failure report.
func Expire() Op { return Op{what: opExpire} }

// Remove removes messages. If report is true, their senders get a failure
// report that says so.
func Remove(report bool) Op {
	if report {
		return Op{what: opRemoveReport}
	}
	return Op{what: opRemove}
}

// Do performs op on each message that f selects, and returns their number. For
// an active message, op is performed when its attempts have ended
// (MessageInfo.Status is then MessagePendingSuspend or MessagePendingRemove).
// If the Store is a [Cluster], Do skips the messages that other nodes have leased,
// and returns a *[SkippedError] when it has performed op on all others. Do stops at
// the first other error, or when ctx ends. It completes the operation that has begun.
// It does not undo the operations that are complete.
func (q *Queue) Do(ctx context.Context, f Filter, op Op) (n int, err error) {
	q.setup()
	op.by = operatorOf(ctx)
	var targets []target // all of them first, so that Do does not meet the copies of Resubmit
	for t, err := range q.targets(ctx, &f) {
		if err != nil {
			return 0, err
		}
		if op.concerns(t.status) {
			targets = append(targets, t)
		}
	}
	return q.doAll(ctx, targets, op)
}

// doAll performs op on the targets, and returns the number of those on which it was
// performed.
func (q *Queue) doAll(ctx context.Context, targets []target, op Op) (n int, err error) {
	var skipped SkippedError
	ids := make([]string, len(targets))
	for i, t := range targets {
		ids[i] = t.id
	}
	held, err := q.heldElsewhere(ctx, ids)
	if err != nil {
		return 0, err
	}
	for _, t := range targets {
		if node := held[t.id]; node != "" {
			skipped.add(node)
			continue
		}
		done, err := q.do(ctx, t.id, t.hop, op)
		switch {
		case err != nil:
			return n, err
		case done:
			n++
		case q.node.cluster != nil: // it has ended, or another node has leased it meanwhile
			if held, err := q.heldElsewhere(ctx, []string{t.id}); err == nil && held[t.id] != "" {
				skipped.add(held[t.id])
			}
		}
	}
	return n, skipped.err()
}

// concerns reports whether the operation applies to a message with status s.
func (o Op) concerns(s MessageStatus) bool {
	switch o.what {
	case 0:
		return false
	case opResume:
		return s == MessageSuspended
	case opSuspend, opRetry:
		return s != MessageSuspended && s != MessagePoison && s != MessageBad
	case opExpire, opRedirect:
		return s != MessageBad
	}
	return true
}

// do performs op on one message. For an active message it leaves an order: op
// is performed when the attempts have ended.
func (q *Queue) do(ctx context.Context, id string, stored NextHop, op Op) (done bool, err error) {
	for tries := 0; tries < opTries; {
		switch q.order(id, op) {
		case sched.Closing:
			if err := pause(ctx, opWait); err != nil { // until the store has recorded it
				return false, err
			}
			continue
		case sched.Active:
			return true, nil
		}
		// A unique owner, so that only this operation has the lease.
		owner := q.owner + "/" + q.ids.next(q.clock.wall())
		c := q.clock.claim(owner, q.limits.Lease)
		c.ID = id
		ms, err := q.Store.Claim(ctx, c)
		if err != nil {
			return false, err
		}
		if len(ms) > 0 {
			a := &active{m: ms[0], owner: owner, counts: &q.counts, lifetime: q.lifetime(ms[0])}
			// Complete the operation even if ctx ends. Half an operation could be a
			// failure report about mail that is delivered later.
			err := q.execute(context.WithoutCancel(ctx), a, stored, op)
			if err == nil && stored == badMailHop {
				q.badMail.forget(id) // all operations on bad mail remove it
			}
			return true, err
		}
		// It has ended, another node has leased it, or Run is about to make it active.
		tries++
		if err := pause(ctx, opWait); err != nil {
			return false, err
		}
	}
	return false, nil
}

// order leaves an order with an active message, if there is one.
func (q *Queue) order(id string, op Op) (state sched.OrderState) {
	q.locked(func(core *sched.Scheduler) {
		var m *sched.Message
		if m, state = core.Order(id); state == sched.Active {
			m.Ordered()
			activeOf(m).order = &op
		}
	})
	return state
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// How often, and after what time, an operation tries again to lease a message
// that is neither active nor free.
const (
	opTries = 5
	opWait  = 20 * time.Millisecond
)

// execute performs an operation on a message that the store has under the hop
// stored. No part of the message may be in delivery.
func (q *Queue) execute(ctx context.Context, a *active, stored NextHop, op Op) error {
	switch op.what {
	case opSuspend:
		q.emitOp(EventOperation, a.m, op, "")
		return q.putAside(a, suspendedHop)
	case opExpire, opRemove, opRemoveReport, opMakeRoom:
		return q.giveUp(ctx, a, stored, op)
	case opResubmit:
		if a.m.Interrupted > 0 || stored == badMailHop {
			return q.resubmitCopy(ctx, a, stored, op)
		}
	}
	var released []NextHop
	if op.what == opRetry {
		released = q.releaseRoutes(ctx, a.m, stored)
	}
	q.locked(func(*sched.Scheduler) { a.retryBy(op) })
	kind := EventOperation
	switch op.what {
	case opResubmit:
		kind = EventResubmit
	case opRedirect:
		kind = EventRedirect
	}
	q.emitOp(kind, a.m, op, "")
	if op.what == opRedirect && aside(stored) {
		return q.putAside(a, stored)
	}
	if err := q.Store.Update(ctx, a.owner, a.m, Schedule{}); err != nil {
		return err
	}
	q.step(func(core *sched.Scheduler) {
		if op.what == opRetry {
			core.Retry(q.clock.now(), sched.Key(stored))
			for _, hop := range released {
				core.Retry(q.clock.now(), sched.Key(hop))
			}
		}
		core.Stored(time.Time{})
	})
	if op.what == opRetry && stored != (NextHop{}) && !aside(stored) {
		q.node.notifyRetry([]NextHop{stored})
	} else {
		q.node.notify(Notice{Kind: NoticeMail})
	}
	return nil
}

// retryBy makes the waiting recipients due at once, and sets their routes as op
// requires.
func (a *active) retryBy(op Op) {
	for _, r := range a.m.Recipients {
		if a.m.owesResult(r) {
			r.retryAtOnce()
		}
		if r.Status != Waiting {
			continue
		}
		r.retryAtOnce()
		switch op.what {
		case opResubmit:
			r.Route = NextHop{}
		case opRedirect:
			r.Route = op.to
		}
	}
}

// giveUp ends the waiting recipients, with or without a report.
func (q *Queue) giveUp(ctx context.Context, a *active, stored NextHop, op Op) error {
	waited := false
	q.locked(func(*sched.Scheduler) { waited = a.endAll(stored, op, q.clock.wall()) })
	kind := EventOperation
	if op.what == opMakeRoom {
		kind = EventBadMailRemoved
	}
	q.emitOp(kind, a.m, op, "")
	if a.due != nil {
		q.recorder.report(ctx, a)
	}
	if a.Waiting() > 0 { // the report could not be sent
		s, _ := a.schedule(&q.clock)
		return q.Store.Update(ctx, a.owner, a.m, Schedule{Due: s.Due, Wait: s.Wait})
	}
	return q.finish(ctx, a, waited)
}

// endAll ends the waiting recipients, as op requires, and reports whether there
// were any.
func (a *active) endAll(stored NextHop, op Op, wall time.Time) (waited bool) {
	for _, r := range a.m.Recipients {
		if r.Status != Waiting {
			continue
		}
		waited = true
		r.Status = Expired
		if stored == poisonHop {
			r.Last = *poisoned()
		}
		if op.what != opExpire {
			r.Status = Removed
			r.Last = *refused(554, smtp.EnhancedCode{5, 0, 0}, "The administrator has removed the message from the queue")
		}
		a.counts.recipient(a.m, r.Status, wall)
		if op.what == opExpire || op.what == opRemoveReport {
			a.owed().fail(r, a.lifetime.of(a.m, r, nil).After(wall, 0).Expire)
		}
	}
	a.NoneWaits()
	return waited
}

// resubmitCopy replaces a poison message or bad mail by a copy that can be
// delivered. The ID of the copy depends only on the ID of the message. The copy
// is leased for longer than the message, until the message is removed. If the
// message cannot be removed and the operation is repeated in this time, there
// is still only one copy.
func (q *Queue) resubmitCopy(ctx context.Context, a *active, stored NextHop, op Op) error {
	m := *a.m
	m.ID, m.Interrupted, m.Received, m.Options.Release = copyID(a.m.ID), 0, q.clock.wall(), time.Time{}
	m.Recipients = nil
	for _, r := range a.m.Recipients {
		switch {
		case r.Status == Delivered && q.FinalResults != nil && m.owesResult(r):
			m.Recipients = append(m.Recipients, r)
		case r.Status != Delivered && r.Status != Expanded:
			m.Recipients = append(m.Recipients, &Recipient{Addr: r.Addr, Options: r.Options})
		}
	}
	// The copy does not become active here: its content belongs to the old
	// message, which is removed. A repeated operation has another owner, and
	// the lease of the copy outlasts that of the message.
	now := q.clock.now()
	owner := q.owner + "/" + q.ids.next(now)
	err := q.Store.Put(ctx, &m, Schedule{Owner: owner, Until: now.Add(2 * q.limits.Lease)})
	repeated := errors.Is(err, ErrExists)
	switch {
	case err == nil:
		q.emitOp(EventResubmit, a.m, op, m.ID)
	case !repeated:
		return err
	}
	if err := q.Store.Remove(ctx, a.owner, a.m.ID); err != nil {
		if !repeated {
			err = errors.Join(err, q.Store.Remove(ctx, owner, m.ID))
		}
		if aside(stored) {
			err = errors.Join(err, q.putAside(a, stored)) // so that the operation can be repeated at once
		}
		return err
	}
	if repeated {
		err = nil // the copy is due when its lease ends, or is active already
	} else {
		err = q.Store.Update(ctx, owner, &m, Schedule{})
	}
	q.step(func(core *sched.Scheduler) { core.Stored(time.Time{}) })
	return err
}

// copyID returns the ID of the resubmitted copy of a message, always the same.
func copyID(id string) string {
	h := sha256.Sum256([]byte("resubmit " + id))
	return "again-" + hex.EncodeToString(h[:12])
}

// emitOp sends the event of an operation.
func (q *Queue) emitOp(kind EventKind, m *Message, op Op, reference string) {
	q.emit(kind, m, m.Recipients, func(e *Event) {
		e.Text, e.Reference = op.String(), reference
		op.by.sign(e)
	})
}
