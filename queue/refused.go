package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// The Queue writes a report before it knows what the hosts on the return path
// support. The first form has the most information. If a host refuses it
// because of its form, the Queue writes the report again in a form that needs
// less. The original message is no longer stored then, so the new form is made
// from the report. It is a new message: the hooks process it (and sign it
// again), and it is stored before the old report is removed.
//
// There are three forms:
//
//  1. The whole original message, unchanged. The report uses 8BITMIME and
//     SMTPUTF8 if it needs them.
//  2. ASCII, with the header of the original message. It needs no extension.
//  3. ASCII, with only the Message-ID of the original message. It is short and
//     contains nothing that REQUIRETLS protects. After a refusal because of
//     REQUIRETLS it has the field "TLS-Required: No": smtpclient then sends
//     REQUIRETLS only to hosts that announce it. After a second refusal it is
//     sent without REQUIRETLS.

// refusal is the reason why a report was refused.
type refusal uint8

const (
	notForm      refusal = iota // any other reason: another form does not help
	formRefused                 // 8-bit content, SMTPUTF8, long lines, ...
	sizeRefused                 // too large
	plainRefused                // REQUIRETLS
)

// refusalOf returns why the report m was refused for r.
func refusalOf(m *Message, r *Recipient) refusal {
	reply := &r.Last.Reply
	switch e := reply.EnhancedCode; e {
	case smtp.EnhancedCode{5, 7, 30}, smtp.EnhancedCode{5, 7, 10}: // RFC 8689, 7 and 4.1
		if m.Options.RequireTLS {
			return plainRefused
		}
	case smtp.EnhancedCode{5, 3, 4}, smtp.EnhancedCode{5, 2, 3}:
		return sizeRefused
	case smtp.EnhancedCode{5, 6, 7}: // the address itself needs SMTPUTF8
	case smtp.EnhancedCode{5, 3, 3}, smtp.EnhancedCode{5, 5, 2}, smtp.EnhancedCode{5, 5, 4}, smtp.EnhancedCode{5, 5, 6}:
		return formRefused
	case smtp.EnhancedCode{}, smtp.EnhancedCode{5, 0, 0}:
		switch reply.Code {
		case 552:
			return sizeRefused
		case 500, 501, 504, 554, 555:
			return formRefused
		}
	default:
		if e[0] == 5 && e[1] == 6 { // about the content
			return formRefused
		}
	}
	return notForm
}

// reportRefused handles a report that could not be delivered to rcpts. It sends
// the report again in a smaller form, or keeps it as bad mail. It sends
// no report about a report.
func (r *reporter) reportRefused(ctx context.Context, m *Message, rcpts []*Recipient, until time.Time) error {
	because := func(why refusal) []*Recipient {
		return those(rcpts, func(rcpt *Recipient) bool { return refusalOf(m, rcpt) == why })
	}
	lost := because(notForm)
	for _, why := range [...]refusal{formRefused, sizeRefused, plainRefused} {
		rs := because(why)
		if len(rs) == 0 {
			continue
		}
		err := r.sendLess(ctx, m, rs, why)
		if err != nil && !errors.Is(err, errNoLess) && !unreportable(err, m, until) {
			return err
		}
		if err != nil {
			lost = append(lost, rs...)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return r.keepBad(ctx, m, lost, "no report is sent about a report")
}

var errNoLess = errors.New("queue: the report cannot be sent in a smaller form")

// sendLess sends the report m to rcpts again, in a smaller form.
func (r *reporter) sendLess(ctx context.Context, m *Message, rcpts []*Recipient, why refusal) error {
	report, err := dsn.Parse(io.NewSectionReader(m.Content, 0, m.Content.Size()))
	if err != nil {
		return fmt.Errorf("%w: %w", errNoLess, err)
	}
	inFull := m.Options.UTF8 || m.Options.Body == smtp.Body8BitMIME || !report.HeaderOnly
	requireTLS := m.Options.RequireTLS
	switch {
	case why == plainRefused:
		// RFC 8689, 5: a report must not be discarded for that reason.
		requireTLS = !report.TLSOptional
		report.TLSOptional = true
		messageIDOnly(report)
	case inFull:
		report.HeaderOnly = true
	case why == sizeRefused && messageIDOnly(report):
	default:
		return errNoLess
	}
	id := reportID(m, rcpts, "in less")
	report.UTF8, report.MessageID, report.Date = false, id+"@"+r.host, time.Now()
	if report.To == "" {
		report.To = rcpts[0].Addr
	}
	c, eightBit, err := report.Content()
	if err != nil {
		return fmt.Errorf("%w: %w", errNoLess, err)
	}
	less := &Message{ID: id, Content: c, Options: reportOptions(report, eightBit, requireTLS)}
	for _, old := range rcpts {
		less.Recipients = append(less.Recipients, &Recipient{Addr: old.Addr, Options: old.Options, Route: old.Route})
	}
	if err := r.submit(ctx, less); errors.Is(err, ErrExists) {
		return nil
	} else if err != nil {
		return err
	}
	r.counts.reports[reportReduced].Add(1)
	r.emit(EventDSN, m, rcpts, func(e *Event) { e.Reference, e.Text = id, "sent again in a smaller form" })
	return nil
}

// messageIDOnly removes all of the original but its Message-ID, and the subject.
// It returns false if there was nothing to remove.
func messageIDOnly(r *dsn.Report) bool {
	r.HeaderOnly, r.Subject = true, ""
	if r.Original == nil {
		return false
	}
	rest, before := "", r.Original.Size()
	if id, _ := dsn.IDAndSubject(r.Original); id != "" {
		rest = "Message-ID: " + id + "\r\n"
	}
	r.Original = String(rest)
	return int64(len(rest)) < before
}
