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

// An Op is what an operator does with messages: see [Queue.Do].
type Op struct {
	what opKind
	to   NextHop
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
)

var opNames = [...]string{"", "suspend", "resume", "retry", "resubmit", "redirect", "expire", "remove", "remove with report"}

// String says what the operator does.
func (o Op) String() string {
	if o.what == opRedirect {
		return "redirect to " + o.to.String()
	}
	return opNames[o.what]
}

// Suspend holds messages until they are resumed.
func Suspend() Op { return Op{what: opSuspend} }

// Resume lets messages go on that were suspended.
func Resume() Op { return Op{what: opResume} }

// RetryNow makes messages due at once, and has the dead next hops that they
// wait for probed. Suspended ones stay so.
func RetryNow() Op { return Op{what: opRetry} }

// Resubmit sends messages through routing again as if they had just come,
// with no route of their own any more. It is how poison and bad mail get
// another chance: they come back under a new ID.
func Resubmit() Op { return Op{what: opResubmit} }

// Redirect sends messages to another next hop, whatever routing says.
func Redirect(to NextHop) Op { return Op{what: opRedirect, to: to} }

// Expire gives messages up as if their time were over: their senders get the
// report.
func Expire() Op { return Op{what: opExpire} }

// Remove takes messages out; with report, their senders get one that says so.
func Remove(report bool) Op {
	if report {
		return Op{what: opRemoveReport}
	}
	return Op{what: opRemove}
}

// Do does op with each message that f selects, and returns with how many. A
// message that is being delivered at the moment is dealt with when the
// attempt has ended (MessageInfo.Status shows it as pending), and one that
// another node has in hand is left out. What was done before an error stays
// done; when ctx ends, the message that was begun with is still dealt with.
func (q *Queue) Do(ctx context.Context, f Filter, op Op) (n int, err error) {
	q.setup()
	type target struct {
		id  string
		hop NextHop
	}
	var targets []target // all of them first: what is resubmitted would be met again
	for info, err := range q.Messages(ctx, f) {
		if err != nil {
			return 0, err
		}
		if op.concerns(info.Status) {
			targets = append(targets, target{info.ID, info.stored})
		}
	}
	for _, t := range targets {
		done, err := q.do(ctx, t.id, t.hop, op)
		if err != nil {
			return n, err
		}
		if done {
			n++
		}
	}
	return n, nil
}

// concerns says whether there is anything to do with a message that stands
// so.
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

// do does op with one message, or leaves the order with whoever has it in
// hand.
func (q *Queue) do(ctx context.Context, id string, stored NextHop, op Op) (done bool, err error) {
	for tries := 0; tries < opTries; {
		switch q.order(id, op) {
		case sched.Closing:
			if err := pause(ctx, opWait); err != nil { // as long as the store takes
				return false, err
			}
			continue
		case sched.Active:
			return true, nil
		}
		// An owner of its own, so that it is clear who of us has the message.
		owner, now := q.owner+"/"+q.ids.next(time.Now()), time.Now()
		ms, err := q.Store.Claim(ctx, Claim{Owner: owner, Until: now.Add(q.limits.Lease), Now: now, ID: id})
		if err != nil {
			return false, err
		}
		if len(ms) > 0 {
			a := &active{m: ms[0], owner: owner, lifetime: q.lifetime(ms[0])}
			// From here on to the end, also if who asked has gone: half an order
			// would be a report on mail that is delivered later.
			return true, q.execute(context.WithoutCancel(ctx), a, stored, op)
		}
		// It has ended, another node has it, or Run is about to begin with it.
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

// How often, and after what time, an operation looks again at a message that
// is in nobody's hands that it knows of.
const (
	opTries = 5
	opWait  = 20 * time.Millisecond
)

// execute carries out an order on a message of which no part is on its way, and
// which is stored under that hop.
func (q *Queue) execute(ctx context.Context, a *active, stored NextHop, op Op) error {
	switch op.what {
	case opSuspend:
		q.emitOp(EventOperation, a.m, op, "")
		return q.putAside(a, suspendedHop)
	case opExpire, opRemove, opRemoveReport:
		return q.giveUp(ctx, a, stored, op)
	case opResubmit:
		if a.m.Interrupted > 0 || stored == badMailHop {
			return q.resubmitCopy(ctx, a, stored, op)
		}
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
			core.Retry(time.Now(), sched.Key(stored))
		}
		core.Stored(time.Time{})
	})
	return nil
}

// retryBy makes the recipients that wait due at once, by the way that an order
// says.
func (a *active) retryBy(op Op) {
	for _, r := range a.m.Recipients {
		if r.Status != Waiting {
			continue
		}
		r.NextAttempt = time.Time{}
		switch op.what {
		case opResubmit:
			r.Route = NextHop{}
		case opRedirect:
			r.Route = op.to
		}
	}
}

// giveUp ends the recipients that wait, with or without a report.
func (q *Queue) giveUp(ctx context.Context, a *active, stored NextHop, op Op) error {
	q.locked(func(*sched.Scheduler) { a.endAll(stored, op) })
	q.emitOp(EventOperation, a.m, op, "")
	if a.due != nil {
		q.recorder.report(ctx, a)
	}
	if a.Waiting() > 0 { // it could not be reported
		due, _ := a.Due()
		return q.Store.Update(ctx, a.owner, a.m, Schedule{Due: due})
	}
	return q.Store.Remove(ctx, a.owner, a.m.ID)
}

// endAll ends the recipients that wait, as an order says.
func (a *active) endAll(stored NextHop, op Op) {
	for _, r := range a.m.Recipients {
		if r.Status != Waiting {
			continue
		}
		r.Status = Expired
		if stored == poisonHop {
			r.Last = *poisoned()
		}
		if op.what != opExpire {
			r.Status = Removed
			r.Last = *refused(554, smtp.EnhancedCode{5, 0, 0}, "The administrator has removed the message from the queue")
		}
		if op.what != opRemove {
			a.owed().fail(r, a.lifetime.of(a.m, r, nil).After(time.Now(), 0).Expire)
		}
	}
	a.NoneWaits()
}

// again submits a copy of a message whose own record would keep it from being
// delivered, and removes that. The copy's ID follows from the message's, and
// nobody begins with the copy before the message is gone or two leases have
// run out: so an order that is repeated by then, since the message could not
// be removed, does not double it.
func (q *Queue) resubmitCopy(ctx context.Context, a *active, stored NextHop, op Op) error {
	m := *a.m
	m.ID, m.Interrupted, m.Received, m.Release = copyID(a.m.ID), 0, time.Now(), time.Time{}
	m.Recipients = nil
	for _, r := range a.m.Recipients {
		if r.Status != Delivered && r.Status != Expanded {
			m.Recipients = append(m.Recipients, &Recipient{Addr: r.Addr, Options: r.Options})
		}
	}
	// It is not delivered from what is in hand now: its content is the old
	// message's, which goes.
	now := time.Now()
	owner := q.owner + "/" + q.ids.next(now)                                                // whoever tries again is another
	err := q.Store.Put(ctx, &m, Schedule{Owner: owner, Until: now.Add(2 * q.limits.Lease)}) // longer than the message's
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
			err = errors.Join(err, q.putAside(a, stored)) // so that it can be ordered again at once
		}
		return err
	}
	if repeated {
		err = nil // it goes on its way when its lease ends, or has done so
	} else {
		err = q.Store.Update(ctx, owner, &m, Schedule{})
	}
	q.step(func(core *sched.Scheduler) { core.Stored(time.Time{}) })
	return err
}

// copyID is the ID of a message's resubmitted copy, always the same.
func copyID(id string) string {
	h := sha256.Sum256([]byte("resubmit " + id))
	return "again-" + hex.EncodeToString(h[:12])
}

// emitOp makes the event of an operation.
func (q *Queue) emitOp(kind EventKind, m *Message, op Op, reference string) {
	q.emit(kind, m, m.Recipients, func(e *Event) { e.Text, e.Reference = op.String(), reference })
}
