package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Submit enqueues m. When it returns nil, m is on stable storage, and the
// Queue delivers it or reports its failure. The caller must not use m
// afterwards. It may close a file that m.Content reads. Submit sets m.ID if
// that is empty.
//
// After an error, m is not in the queue. The error wraps a *smtp.SMTPError,
// which a server can send to its client. Examples:
//
//   - 452 4.3.1: the store is full.
//   - 451 4.3.2: the queue is frozen ([Queue.Freeze]) or is shutting down.
//   - 553 5.1.3: a recipient is not an address, for example
//     "Bob <bob@example.com>" or "bob". 553 5.1.7: the sender is not.
//   - 554 5.6.0: the content is nil or has no header.
//   - 554 5.6.11: the content has a bare CR or a bare LF.
//   - 451 4.3.5: the labels are not valid ([MessageOptions]). The text of the
//     error, but not the reply to a client, says which of them and why.
//   - 554 5.4.6: mail loop: the message has too many Received fields
//     (Limits.Received).
//
// The header section of the content ends at the first line that is not part of
// a field. If this line is not blank, Submit inserts a blank line before it, as
// Postfix does. Otherwise another program could find header fields after that
// line, which the hooks did not see. Lines at the start that begin with "From "
// or ">From ", as in a mailbox file, become X-Mailbox-Line fields. Submit does
// not change any other content.
//
// A recipient has the form local-part@domain; the domain may be an address
// literal. The only address without a domain is postmaster, as in RCPT (RFC
// 5321, 4.1.1.3). A Deliverer for local mailboxes gets addresses with a domain
// too, for example bob@localhost. The sender is such an address or empty.
//
// The content must be a mail message (RFC 5322): it begins with a header field,
// and all its lines end with CRLF. The last line may have no end. Submit reads
// the content once to check this, unless Options.Body is BINARYMIME, which may
// contain any bytes (RFC 3030). If Origin.Protocol is set, the message came
// from a server that has checked the line ends, and Submit does not check them
// or the header again.
//
// Submit can be called before Run and while it runs. The Queue delivers only
// while Run runs. After Shutdown was called or Run has ended, the error is
// [ErrShutdown]. If [Queue.Validate] returns an error for the settings, Submit
// returns that error, with one exception: it does not call Checker.Check, so
// that an application may submit before the Deliverer is complete.
func (q *Queue) Submit(ctx context.Context, m *Message) error {
	q.setup()
	if q.invalid != nil {
		return q.invalid
	}
	if m == nil {
		return refuse(554, smtp.EnhancedCode{5, 3, 0}, "The message is nil", nil)
	}
	if m.submitted == m {
		return refuse(554, smtp.EnhancedCode{5, 3, 0}, "The Message was submitted before: Submit needs a new Message each time", ErrExists)
	}
	if err := m.checkAddresses(); err != nil {
		return err
	}
	if q.down.Load() {
		return refuse(451, smtp.EnhancedCode{4, 3, 2}, "The queue is shut down", ErrShutdown)
	}
	if q.frozen.Load() {
		return refuse(451, smtp.EnhancedCode{4, 3, 2}, "The queue is frozen", nil)
	}
	// Mail that came by SMTP is not counted again: its server has counted
	// (smtpserver.Limits.Hops), and the trace field that it has written since
	// then does not come from a loop.
	m.submitted = m // before the Queue has it: then a delivery may read m at the same time
	if err := q.enqueue(ctx, m, m.Origin.Protocol == ""); err != nil {
		m.submitted = nil
		return err
	}
	return nil
}

// ErrShutdown is the error of Submit after Shutdown was called or Run has ended.
var ErrShutdown = errors.New("queue: Shutdown was called or Run has ended")

// checkAddresses refuses addresses that can never be sent. At this point the
// submitting client still waits for the reply and learns of the error.
func (m *Message) checkAddresses() error {
	if problem := notMailbox(m.From); problem != "" && m.From != "" {
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

// badRecipient returns why a is not the address of a recipient, or "".
func badRecipient(a string) string {
	problem := notMailbox(a)
	if problem != "" && addr.Lower(a) == "postmaster" { // RFC 5321, 4.1.1.3
		return ""
	}
	return problem
}

// notMailbox returns why a is not an address with a domain, or "".
func notMailbox(a string) string {
	if addr.IsPlain(a) { // nearly always
		return ""
	}
	if a == "" {
		return "is empty"
	}
	if problem := addr.NotOnWire(a); problem != "" {
		return problem
	}
	if _, domain := addr.Split(a); domain == "" {
		return "has no domain"
	}
	return ""
}

// take is Submit without the checks that do not apply to the reports of the
// Queue itself: it works while the queue is frozen.
func (q *Queue) take(ctx context.Context, m *Message) error {
	return q.enqueue(ctx, m, false)
}

// enqueue prepares a message and stores it. whole means that m does not come from
// a server: see checkHeader.
func (q *Queue) enqueue(ctx context.Context, m *Message, whole bool) error {
	if m.ID == "" {
		m.ID = q.ids.next(q.clock.wall())
	}
	if err := ValidID(m.ID); err != nil {
		return refuse(554, smtp.EnhancedCode{5, 3, 0}, "Invalid message ID", err)
	}
	if m.Received.IsZero() {
		m.Received = q.clock.wall()
	}
	m.Options.Labels = maps.Clone(m.Options.Labels) // the caller may give the map to several messages
	if err := q.checkHeader(m, whole); err != nil {
		return err
	}
	if err := q.runHooks(ctx, m); err != nil {
		return err
	}
	if err := envelope.CheckLabels(m.Options.Labels); err != nil {
		// The mistake is ours and not the client's, which must keep the message.
		return refuse(451, smtp.EnhancedCode{4, 3, 5}, "The labels of the message are not valid", err)
	}
	if len(m.Recipients) == 0 {
		return refuse(554, smtp.EnhancedCode{5, 5, 1}, "No recipients", nil)
	}
	return q.put(ctx, m)
}

// put stores a message. If there is room in memory, the message becomes active
// at once.
func (q *Queue) put(ctx context.Context, m *Message) error {
	now := q.clock.now()
	s := Schedule{Due: m.Options.Release}
	for _, r := range m.Recipients {
		r.NextAttempt = m.Options.Release
	}
	size := inMemory(m.Content)
	atOnce := !m.Options.Release.After(q.clock.wall()) && q.reserve(size)
	if atOnce {
		s.Owner, s.Until = q.owner, now.Add(q.limits.Lease)
	}
	_, err := guarded(q.log, "Store.Put, or the content,", func() (struct{}, error) { return struct{}{}, q.Store.Put(ctx, m, s) })
	if err != nil {
		if atOnce {
			q.step(func(core *sched.Scheduler) { core.Unplaced(size) })
		}
		q.noteClosed(err)
		return unstored(err)
	}
	q.counts.stored(m)
	q.emitReceived(m)
	if atOnce {
		a := q.newActive(m, q.owner, s.Until)
		a.Size, a.fresh = size, true
		q.admit(a, now)
		return nil
	}
	q.step(func(core *sched.Scheduler) { core.Stored(q.clock.steady(s.Due)) })
	q.node.notify(Notice{Kind: NoticeMail})
	return nil
}

// reserve reserves a place for an active message and size bytes of memory for
// its content. placed is false if there is no room or the Queue does not
// deliver. The message then waits in the store and is read from there.
func (q *Queue) reserve(size int64) (placed bool) {
	q.locked(func(core *sched.Scheduler) { placed = core.Place(size) })
	return placed
}

// inMemory returns how many bytes of memory the content takes while the message
// is active.
func inMemory(c Content) int64 {
	if cc, ok := c.(*content.Content); ok && !cc.InMemory() {
		return 0
	}
	return c.Size()
}

// refuse returns an error that wraps a reply for the client and the cause.
func refuse(code int, enhanced smtp.EnhancedCode, text string, cause error) error {
	e := &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
	if cause == nil {
		return fmt.Errorf("queue: %w", e)
	}
	return fmt.Errorf("queue: %w: %w", e, cause)
}

// unstored returns the error for a message that could not be stored.
func unstored(err error) error {
	var se *smtp.SMTPError
	switch {
	case errors.As(err, &se):
		return err
	case errors.Is(err, ErrFull), errors.Is(err, ErrReadOnly):
		return refuse(452, smtp.EnhancedCode{4, 3, 1}, "Insufficient system storage", err)
	case errors.Is(err, ErrUnavailable):
		return refuse(451, smtp.EnhancedCode{4, 3, 0}, "The store cannot be reached", err)
	case errors.Is(err, ErrClosed):
		return refuse(451, smtp.EnhancedCode{4, 3, 2}, "The store is closed", err)
	case errors.Is(err, ErrExists):
		return refuse(554, smtp.EnhancedCode{5, 3, 0}, "A message with this ID is in the queue already", err)
	}
	return refuse(451, smtp.EnhancedCode{4, 3, 0}, "The message could not be stored", err)
}
