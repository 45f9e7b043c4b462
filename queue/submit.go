package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Submit takes m over. When it returns nil, m is safe in the store, and the
// Queue will see each of its recipients to its end; m then belongs to the
// Queue. It sets m.ID where that is empty; a file behind m.Content may be
// closed, the store does not need it any more. An error leaves nothing behind;
// errors.As finds a *smtp.SMTPError in it, fit for a client (452 4.3.1 for a
// full store, 451 4.3.2 for a frozen queue, 553 5.1.3 for a recipient that is
// no address, as "Bob <bob@example.com>", 554 5.4.6 for a message that runs in
// circles (Limits.Received), ...).
//
// The header section of the content ends at the first line that is not a field.
// If no blank line is there, Submit inserts one, as Postfix does, so that no
// program reads fields behind it that the hooks did not see. Lines at the start
// that begin with "From " or ">From ", as in a mailbox file, become
// X-Mailbox-Line fields. All other content stays as it is.
//
// Submit works before Run and while it runs; what it stores is delivered
// when Run runs.
func (q *Queue) Submit(ctx context.Context, m *Message) error {
	q.setup()
	if q.Store == nil {
		return errNoStore
	}
	if err := m.checkAddresses(); err != nil {
		return err
	}
	if q.frozen.Load() {
		return refuse(451, smtp.EnhancedCode{4, 3, 2}, "The queue is frozen", nil)
	}
	if err := q.checkHops(m); err != nil {
		return err
	}
	return q.take(ctx, m)
}

// checkAddresses refuses what can never be sent, while whoever submits it is
// there to hear of it.
func (m *Message) checkAddresses() error {
	if problem := addr.NotOnWire(m.From); problem != "" {
		return refuse(553, smtp.EnhancedCode{5, 1, 7}, fmt.Sprintf("Sender %q %s", m.From, problem), nil)
	}
	for _, r := range m.Recipients {
		if r == nil {
			return refuse(554, smtp.EnhancedCode{5, 5, 1}, "A recipient is nil", nil)
		}
		if problem := badRecipient(r.Addr); problem != "" {
			return refuse(553, smtp.EnhancedCode{5, 1, 3}, fmt.Sprintf("Recipient %q %s", r.Addr, problem), nil)
		}
	}
	return nil
}

func badRecipient(a string) string {
	if a == "" {
		return "is empty"
	}
	return addr.NotOnWire(a)
}

// take is Submit, also for what must get in while the queue is frozen.
func (q *Queue) take(ctx context.Context, m *Message) error {
	if m.ID == "" {
		m.ID = q.ids.next(time.Now())
	}
	if err := ValidID(m.ID); err != nil {
		return refuse(554, smtp.EnhancedCode{5, 3, 0}, "Invalid message ID", err)
	}
	if m.Received.IsZero() {
		m.Received = time.Now()
	}
	if err := q.repair(m); err != nil {
		return err
	}
	if err := q.runHooks(ctx, m); err != nil {
		return err
	}
	if len(m.Recipients) == 0 {
		return refuse(554, smtp.EnhancedCode{5, 5, 1}, "No recipients", nil)
	}
	return q.put(ctx, m)
}

// put stores a message and, where there is room in memory, begins with it.
func (q *Queue) put(ctx context.Context, m *Message) error {
	now := time.Now()
	s := Schedule{Due: m.Release}
	for _, r := range m.Recipients {
		r.NextAttempt = m.Release
	}
	size := inMemory(m.Content)
	atOnce := !m.Release.After(now) && q.reserve(size)
	if atOnce {
		s.Owner, s.Until = q.owner, now.Add(q.limits.Lease)
	}
	_, err := guarded(q.log, "Store.Put, or the content,", func() (struct{}, error) { return struct{}{}, q.Store.Put(ctx, m, s) })
	if err != nil {
		if atOnce {
			q.step(func(core *sched.Scheduler) { core.Unplaced(size) })
		}
		return unstored(err)
	}
	q.emitReceived(m)
	if atOnce {
		a := q.newActive(m, q.owner, s.Until)
		a.Size = size
		q.admit(a, now)
		return nil
	}
	q.step(func(core *sched.Scheduler) { core.Stored(s.Due) })
	return nil
}

// reserve takes one of the places for active messages, and memory for its
// content, if there is one, and the Queue delivers. What gets none waits in
// the store and is read from there.
func (q *Queue) reserve(size int64) (placed bool) {
	q.locked(func(core *sched.Scheduler) { placed = core.Place(size) })
	return placed
}

// inMemory is how much memory content takes while it is kept.
func inMemory(c Content) int64 {
	if cc, ok := c.(*content.Content); ok && !cc.InMemory() {
		return 0
	}
	return c.Size()
}

// refuse makes an error that is fit for a client and has its cause.
func refuse(code int, enhanced smtp.EnhancedCode, text string, cause error) error {
	e := &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
	if cause == nil {
		return fmt.Errorf("queue: %w", e)
	}
	return fmt.Errorf("queue: %w: %w", e, cause)
}

// unstored is the error for a message that the store did not take.
func unstored(err error) error {
	var se *smtp.SMTPError
	switch {
	case errors.As(err, &se):
		return err
	case errors.Is(err, ErrFull), errors.Is(err, ErrReadOnly):
		return refuse(452, smtp.EnhancedCode{4, 3, 1}, "Insufficient system storage", err)
	case errors.Is(err, ErrClosed):
		return refuse(451, smtp.EnhancedCode{4, 3, 2}, "The queue is shutting down", err)
	}
	return refuse(451, smtp.EnhancedCode{4, 3, 0}, "The message could not be stored", err)
}
