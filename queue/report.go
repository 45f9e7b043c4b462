package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Reports are the settings for delivery status notifications. The zero value
// is the default. For a smart host that refuses their null reverse-path, see
// routing.Connector.ReportSender.
type Reports struct {
	// From is the address in the From field of reports. Default
	// postmaster@Hostname.
	From string
	// MaxOriginal is the longest message that is returned whole with a
	// failure report; of longer ones the header is. Default 50 KiB (Postfix).
	MaxOriginal int64
	// CopyTo are addresses that get a copy of each failure report.
	CopyTo []string
	// Texts are the words for people, chosen for each message that is reported about.
	// Default English.
	Texts func(m *Message) *dsn.Texts
}

// report sends the reports that are due for a, or keeps the message as bad
// mail where they cannot be sent. Reports are safe in the store before what
// they say is recorded; a crash in between may send one twice, but loses
// none. Recipients that cannot be reported now wait again.
func (r *recorder) report(ctx context.Context, a *active) {
	q, m, due := r.q, a.m, a.due
	if len(due.failed) > 0 {
		if err := q.reportFailed(ctx, m, due.failed, due.failedUntil); err != nil {
			q.log.Error("queue: a failure could not be reported, the recipients wait", "id", m.ID, "error", err)
			// They will be tried again then: so it is for the policy to say when.
			next := time.Now().Add(max(sched.LookAgain, q.wait(due.failed[0].Attempts+1, &due.failed[0].Last)))
			q.locked(func(*sched.Scheduler) {
				for _, r := range due.failed {
					r.Status, r.NextAttempt = Waiting, next
					a.WaitUntil(next)
				}
			})
		} else {
			q.emit(EventFail, m, due.failed, func(e *Event) { e.from(&due.failed[0].Last) })
		}
	}
	if m.From == "" || m.System {
		due.delayed, due.succeeded = nil, nil
	}
	var late []*Recipient
	until := map[*Recipient]time.Time{}
	for _, d := range due.delayed {
		if len(d.r.Options.Notify) == 0 || wants(d.r, smtp.DSNNotifyDelayed) {
			late, until[d.r] = append(late, d.r), d.expire
		}
	}
	if len(late) > 0 {
		if err := q.sendReport(ctx, m, late, dsn.Delayed, until); err != nil {
			q.log.Warn("queue: a delay could not be reported", "id", m.ID, "error", err)
		}
	}
	q.locked(func(*sched.Scheduler) {
		for _, d := range due.delayed {
			d.r.Notified, a.changed = true, true // or it need not be
		}
	})
	// A host that knows DSN has taken over the duty to report (RFC 3461, 5.2.2).
	relayed := those(due.succeeded, func(r *Recipient) bool {
		return r.Status == Delivered && (!r.Last.DSN || r.Last.Final)
	})
	expanded := those(due.succeeded, func(r *Recipient) bool { return r.Status == Expanded })
	for action, rs := range map[dsn.Action][]*Recipient{dsn.Relayed: relayed, dsn.Expanded: expanded} {
		if len(rs) == 0 {
			continue
		}
		if err := q.sendReport(ctx, m, rs, action, nil); err != nil {
			q.log.Warn("queue: a success could not be reported", "id", m.ID, "error", err)
		}
	}
	q.locked(func(*sched.Scheduler) {
		for _, r := range due.succeeded {
			r.Notified, a.changed = true, true // or it need not be
		}
	})
	a.due = nil
}

// owesSuccess says that the recipient has ended well, and that this was not
// reported yet: other recipients were on their way still when the message was
// recorded last.
func (r *Recipient) owesSuccess() bool {
	return !r.Notified && (r.Status == Expanded || r.Status == Delivered && wants(r, smtp.DSNNotifySuccess))
}

func those(rs []*Recipient, keep func(*Recipient) bool) (kept []*Recipient) {
	for _, r := range rs {
		if keep(r) {
			kept = append(kept, r)
		}
	}
	return kept
}

// reportFailed reports the failure of rcpts, or keeps the message as bad mail.
// until is when the recipients would have expired; zero is never.
func (q *Queue) reportFailed(ctx context.Context, m *Message, rcpts []*Recipient, until time.Time) error {
	if m.System {
		return q.reportRefused(ctx, m, rcpts, until)
	}
	if m.From == "" {
		return q.keepBad(ctx, m, rcpts, "its sender is the null reverse-path")
	}
	due := those(rcpts, func(r *Recipient) bool {
		return len(r.Options.Notify) == 0 || wants(r, smtp.DSNNotifyFailure)
	})
	if len(due) == 0 {
		q.emit(EventSuppressed, m, rcpts, func(e *Event) { e.Text = "NOTIFY does not name FAILURE" })
		return nil // NOTIFY without FAILURE: the sender wants it so
	}
	err := q.sendReport(ctx, m, due, dsn.Failed, nil)
	if err != nil && unreportable(err, m, until) {
		return q.keepBad(ctx, m, due, "no report could be queued: "+err.Error())
	}
	return err
}

// unreportable says whether a report that could not be queued never will be:
// it was refused for good, or err has kept it out for the message's own time
// once more. (A store may be full, and a hook may fail, for a while.)
func unreportable(err error, m *Message, until time.Time) bool {
	var se *smtp.SMTPError
	if errors.As(err, &se) && se.Code/100 == 5 {
		return true
	}
	return !until.IsZero() && sched.Reached(until.Add(until.Sub(m.from())), time.Now())
}

// sendReport puts a report about rcpts, all of one kind, into the queue. Its
// ID follows from what it says, so that it is not sent twice when what it
// says could not be recorded the first time. until is how long delayed
// recipients are retried; a missing or zero time is for ever.
func (q *Queue) sendReport(ctx context.Context, m *Message, rcpts []*Recipient, action dsn.Action, until map[*Recipient]time.Time) error {
	host := q.host
	id := reportID(m, rcpts, action)
	r := &dsn.Report{
		From:         q.Reports.From,
		To:           m.From,
		Date:         time.Now(),
		MessageID:    id + "@" + host,
		ReportingMTA: host,
		ReceivedFrom: m.Origin.ClientHelo,
		EnvelopeID:   m.Options.EnvelopeID,
		Arrival:      m.Received,
		Original:     m.Content,
		HeaderOnly:   action != dsn.Failed || headersOnly(&m.Options),
		MaxOriginal:  q.Reports.MaxOriginal,
		UTF8:         m.Options.UTF8 && hasUTF8(m, rcpts),
	}
	if q.Reports.Texts != nil {
		r.Texts, _ = guarded(q, "Reports.Texts", func() (*dsn.Texts, error) { return q.Reports.Texts(m), nil })
	}
	for _, rc := range rcpts {
		about := reportOn(rc, action)
		about.RetryUntil = until[rc]
		r.Recipients = append(r.Recipients, about)
	}
	c, eightBit, err := r.Content()
	if err != nil {
		// The original cannot be read: the report must go out all the same.
		q.log.Error("queue: a report is sent without its original", "id", m.ID, "error", err)
		r.Original = nil
		if c, eightBit, err = r.Content(); err != nil {
			return err
		}
	}
	report := &Message{ID: id, Content: c, Recipients: []*Recipient{reportTo(m.From)}}
	report.Options = reportOptions(r, eightBit, m.Options.RequireTLS)
	if action == dsn.Failed {
		report.Recipients = append(report.Recipients, Rcpt(q.Reports.CopyTo...)...)
	}
	err = q.takeReport(ctx, report)
	if errors.Is(err, ErrExists) {
		return nil
	}
	if err == nil {
		q.emit(EventDSN, m, rcpts, func(e *Event) { e.Reference, e.Text = id, string(action) })
	}
	return err
}

// headersOnly says whether a failure report must not return the content: the
// sender wants it so, or wants it protected (RFC 8689, 5).
func headersOnly(o *smtp.MailOptions) bool {
	return o.Return == smtp.DSNReturnHeaders || o.RequireTLS
}

// hasUTF8 says whether a report on rcpts has something that ASCII cannot
// write without a change: an address, or the header of m.
func hasUTF8(m *Message, rcpts []*Recipient) bool {
	if !chars.ASCII(m.From) || header.EightBit(m.Content) {
		return true
	}
	for _, r := range rcpts {
		if !chars.ASCII(r.Addr) || !chars.ASCII(r.Options.OriginalRecipient) {
			return true
		}
	}
	return false
}

// reportTo is the recipient of a report. No report is ever due on a report.
func reportTo(a string) *Recipient {
	return &Recipient{Addr: a, Options: smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}}}
}

// reportOptions are what a report needs of its way: no more than what is in
// it, and the protection of the message that it is about (RFC 8689, 5).
func reportOptions(r *dsn.Report, eightBit, requireTLS bool) smtp.MailOptions {
	o := smtp.MailOptions{UTF8: r.UTF8 && eightBit, RequireTLS: requireTLS}
	if eightBit {
		o.Body = smtp.Body8BitMIME
	}
	return o
}

// takeReport puts a report into the queue.
func (q *Queue) takeReport(ctx context.Context, report *Message) error {
	report.Received = time.Now()
	report.Origin = Origin{Connector: "dsn"}
	report.System = true
	return q.take(ctx, report)
}

// reportID is the same for the same report, in whatever order its recipients
// have ended.
func reportID(m *Message, rcpts []*Recipient, action dsn.Action) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s", m.ID, action)
	about := set(rcpts)
	for i, r := range m.Recipients {
		if about[r] {
			fmt.Fprintf(h, " %d", i)
		}
	}
	return "dsn-" + hex.EncodeToString(h.Sum(nil)[:12])
}

// reportOn is what a report says of one recipient.
func reportOn(r *Recipient, action dsn.Action) dsn.Recipient {
	last := &r.Last
	d := dsn.Recipient{
		Original:     r.Options.OriginalRecipient,
		OriginalType: r.Options.OriginalRecipientType,
		Final:        r.Addr,
		Action:       action,
		Status:       statusOf(r, action),
		LastAttempt:  r.LastAttempt,
	}
	if action == dsn.Relayed && last.Final {
		d.Action = dsn.Delivered
	}
	if last.Host != "" && last.Reply.Code != 0 {
		d.RemoteMTA, d.Diagnostic = last.Host, replyText(&last.Reply)
	} else {
		d.Reason = last.Reply.Message
		if d.Reason == "" && last.Err != nil {
			d.Reason = last.Err.Error()
		}
	}
	return d
}

// statusOf is the status code of a recipient in a report: what the host said,
// in the class that fits what became of it.
func statusOf(r *Recipient, action dsn.Action) smtp.EnhancedCode {
	code := r.Last.Reply.EnhancedCode
	switch {
	case action == dsn.Relayed, action == dsn.Expanded:
		if code[0] != 2 {
			code = smtp.EnhancedCode{2, 0, 0}
		}
	case r.Status == Expired:
		code = smtp.EnhancedCode{4, 4, 7} // delivery time expired
	case action == dsn.Delayed:
		if code[0] != 4 {
			code = smtp.EnhancedCode{4, 4, 0}
		}
	case code[0] != 5 && code[0] != 4:
		code = smtp.EnhancedCode{5, 0, 0}
	}
	return code
}

// replyText is a reply as the host wrote it, on one line.
func replyText(e *smtp.SMTPError) string {
	s := strconv.Itoa(e.Code)
	if c := e.EnhancedCode; c[0] > 0 {
		s += fmt.Sprintf(" %d.%d.%d", c[0], c[1], c[2])
	}
	return s + " " + e.Message
}
