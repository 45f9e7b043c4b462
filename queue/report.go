package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Reports are the settings for delivery status notifications. The zero value
// is the default. For a smart host that refuses the null reverse-path, see
// routing.Connector.ReportSender.
type Reports struct {
	// From is the address in the From field of reports. Default
	// postmaster@Hostname.
	From string
	// MaxOriginal is the longest message, in bytes, that a failure report
	// returns completely. If a message is longer, the report returns only its
	// header. Default 50 KiB (Postfix).
	MaxOriginal int64
	// CopyTo are addresses that get a copy of each failure report.
	CopyTo []string
	// Texts returns the text for people in a report about m. Default English.
	Texts func(m *Message) *dsn.Texts
}

// A reporter sends the reports on messages, and keeps as bad mail what cannot
// be reported. It takes no lock: it is called only for messages of which no
// part is on its way, and it does not change them.
type reporter struct {
	Reports
	host   string // names this MTA
	log    *slog.Logger
	submit func(ctx context.Context, report *Message) error                 // puts a report into the queue
	keep   func(ctx context.Context, bad *Message) (note string, err error) // keeps bad mail
	emit   func(kind EventKind, m *Message, rcpts []*Recipient, more func(*Event))
	counts *counts
}

// failed reports the failure of rcpts, or keeps the message as bad mail. until
// is when the recipients would have expired; the zero time is never.
func (r *reporter) failed(ctx context.Context, m *Message, rcpts []*Recipient, until time.Time) error {
	if m.System {
		return r.reportRefused(ctx, m, rcpts, until)
	}
	if m.From == "" {
		return r.keepBad(ctx, m, rcpts, "its sender is the null reverse-path")
	}
	due := those(rcpts, func(rcpt *Recipient) bool {
		return len(rcpt.Options.Notify) == 0 || wants(rcpt, smtp.DSNNotifyFailure)
	})
	if len(due) == 0 {
		r.counts.reports[reportSuppressed].Add(1)
		r.emit(EventSuppressed, m, rcpts, func(e *Event) { e.Text = "NOTIFY does not name FAILURE" })
		return nil // the sender asked for no report
	}
	err := r.send(ctx, m, due, dsn.Failed, nil)
	if err != nil && unreportable(err, m, until) {
		return r.keepBad(ctx, m, due, "no report could be queued: "+err.Error())
	}
	return err
}

// unreportable reports whether a report that could not be queued never will be:
// it was refused permanently, or it has failed for as long again as the message
// itself was retried. (A full store and a failing hook may be temporary.)
func unreportable(err error, m *Message, until time.Time) bool {
	var se *smtp.SMTPError
	if errors.As(err, &se) && se.Code/100 == 5 {
		return true
	}
	return !until.IsZero() && sched.Reached(until.Add(until.Sub(m.from())), time.Now())
}

// delayed reports that recipients are delayed, to senders that want to know it.
// A report that cannot be queued is logged and not repeated.
func (r *reporter) delayed(ctx context.Context, m *Message, delays []delay) {
	var late []*Recipient
	until := map[*Recipient]time.Time{}
	for _, d := range delays {
		if len(d.r.Options.Notify) == 0 || wants(d.r, smtp.DSNNotifyDelayed) {
			late, until[d.r] = append(late, d.r), d.expire
		}
	}
	if len(late) == 0 {
		return
	}
	if err := r.send(ctx, m, late, dsn.Delayed, until); err != nil {
		r.log.Warn("queue: a delay could not be reported", "id", m.ID, "error", err)
	}
}

// succeeded reports that recipients were delivered or expanded. A report that
// cannot be queued is logged and not repeated.
func (r *reporter) succeeded(ctx context.Context, m *Message, rcpts []*Recipient) {
	// A host that knows DSN has taken over the duty to report (RFC 3461, 5.2.2).
	relayed := those(rcpts, func(rcpt *Recipient) bool {
		return rcpt.Status == Delivered && (!rcpt.Last.DSN || rcpt.Last.Final)
	})
	expanded := those(rcpts, func(rcpt *Recipient) bool { return rcpt.Status == Expanded })
	for action, about := range map[dsn.Action][]*Recipient{dsn.Relayed: relayed, dsn.Expanded: expanded} {
		if len(about) == 0 {
			continue
		}
		if err := r.send(ctx, m, about, action, nil); err != nil {
			r.log.Warn("queue: a success could not be reported", "id", m.ID, "error", err)
		}
	}
}

// owesSuccess reports whether the recipient was delivered or expanded and this
// was not reported yet: other recipients were not done when the message was
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

// send puts a report about rcpts into the queue; all of them have the same
// action. The report's ID depends only on its contents, so that it is not sent
// twice when the message could not be recorded the first time. until is how
// long delayed recipients are retried; a missing or zero time is no limit.
func (r *reporter) send(ctx context.Context, m *Message, rcpts []*Recipient, action dsn.Action, until map[*Recipient]time.Time) error {
	id := reportID(m, rcpts, action)
	report := r.write(id, m, rcpts, action, until)
	c, eightBit, err := report.Content()
	if err != nil {
		// The original cannot be read. The report is sent without it.
		r.log.Error("queue: a report is sent without its original", "id", m.ID, "error", err)
		report.Original = nil
		if c, eightBit, err = report.Content(); err != nil {
			return err
		}
	}
	mail := &Message{ID: id, Content: c, Recipients: []*Recipient{reportTo(m.From)}}
	mail.Options = reportOptions(report, eightBit, m.Options.RequireTLS)
	if action == dsn.Failed {
		mail.Recipients = append(mail.Recipients, Rcpt(r.CopyTo...)...)
	}
	err = r.submit(ctx, mail)
	if errors.Is(err, ErrExists) {
		return nil
	}
	if err == nil {
		r.counts.reported(action)
		r.emit(EventDSN, m, rcpts, func(e *Event) { e.Reference, e.Text = id, string(action) })
	}
	return err
}

// write writes a report about rcpts: see send.
func (r *reporter) write(id string, m *Message, rcpts []*Recipient, action dsn.Action, until map[*Recipient]time.Time) *dsn.Report {
	report := &dsn.Report{
		From:         r.From,
		To:           m.From,
		Date:         time.Now(),
		MessageID:    id + "@" + r.host,
		ReportingMTA: r.host,
		ReceivedFrom: m.Origin.ClientHelo,
		EnvelopeID:   m.Options.EnvelopeID,
		Arrival:      m.Received,
		Original:     m.Content,
		HeaderOnly:   action != dsn.Failed || headersOnly(&m.Options),
		MaxOriginal:  r.MaxOriginal,
		UTF8:         m.Options.UTF8 && hasUTF8(m, rcpts),
	}
	if r.Texts != nil {
		report.Texts, _ = guarded(r.log, "Reports.Texts", func() (*dsn.Texts, error) { return r.Texts(m), nil })
	}
	for _, rcpt := range rcpts {
		about := reportOn(rcpt, action)
		about.RetryUntil = until[rcpt]
		report.Recipients = append(report.Recipients, about)
	}
	return report
}

// headersOnly reports whether a failure report must not return the content: the
// sender asked for that, or wants the content protected (RFC 8689, 5).
func headersOnly(o *MessageOptions) bool {
	return o.Return == smtp.DSNReturnHeaders || o.RequireTLS
}

// hasUTF8 reports whether a report on rcpts contains non-ASCII text that it must
// not change: an address, or the header of m.
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
	return &Recipient{Addr: a, Options: RcptOptions{RcptOptions: smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}}}}
}

// reportOptions are the extensions that a report needs on its way: those for its
// content, and the protection of the message that it is about (RFC 8689, 5).
func reportOptions(r *dsn.Report, eightBit, requireTLS bool) MessageOptions {
	o := MessageOptions{MailOptions: smtp.MailOptions{UTF8: r.UTF8 && eightBit, RequireTLS: requireTLS}}
	if eightBit {
		o.Body = smtp.Body8BitMIME
	}
	return o
}

// submitReport puts a report into the queue.
func (q *Queue) submitReport(ctx context.Context, report *Message) error {
	report.Received = time.Now()
	report.Origin = Origin{Connector: "dsn"}
	report.System = true
	return q.take(ctx, report)
}

// reportID is the same for the same report. It does not depend on the order in
// which the recipients ended.
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

// reportOn is what a report says about one recipient.
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

// statusOf is the status code of a recipient in a report: the host's code if its
// class fits the action, otherwise a general code of that class.
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
