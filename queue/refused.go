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

// A report is made before its way back is known. So it is written in the form
// that says most, and needs no more than that form does; only where the way
// back lacks what it needs, it is written again in a form that needs less. The
// original is gone by then: the new form is made from the report itself. It is
// a new message, which passes the hooks (a signature is made anew), and is
// stored before the old one is removed.
//
// Each form needs less than the one before, so there are at most three:
//
//  1. the whole original, as it is, with 8BITMIME and SMTPUTF8 where those
//     are needed;
//  2. ASCII with the original's header, which needs no extension;
//  3. ASCII with the original's Message-ID only, which is short and says
//     nothing that REQUIRETLS protects. After a refusal for REQUIRETLS it has
//     "TLS-Required: No", with which smtpclient sends REQUIRETLS only to hosts
//     that announce it; refused again, it has no REQUIRETLS any more.

// refusal is why a report was refused, as far as its form can help.
type refusal uint8

const (
	notForm      refusal = iota // another form would be refused too
	formRefused                 // 8-bit content, SMTPUTF8, long lines, ...
	sizeRefused                 // it is too long
	plainRefused                // REQUIRETLS
)

// refusalOf says why the report m was refused for r.
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

// reportRefused does what is left to do for a report that was not delivered to
// rcpts: it is sent again in a form that needs less, or kept as bad mail. A
// report is never reported on.
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
	return r.keepBad(ctx, m, lost, "it is a report, on which no other is sent")
}

var errNoLess = errors.New("queue: the report has no form that needs less")

// sendLess sends the report m to rcpts again, in a form that needs less.
func (r *reporter) sendLess(ctx context.Context, m *Message, rcpts []*Recipient, why refusal) error {
	report, err := dsn.Parse(io.NewSectionReader(m.Content, 0, m.Content.Size()))
	if err != nil {
		return fmt.Errorf("%w: %w", errNoLess, err)
	}
	inFull := m.Options.UTF8 || m.Options.Body == smtp.Body8BitMIME || !report.HeaderOnly
	requireTLS := m.Options.RequireTLS
	switch {
	case why == plainRefused:
		// RFC 8689, 5: not to be discarded for that.
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
	r.emit(EventDSN, m, rcpts, func(e *Event) { e.Reference, e.Text = id, "sent again in a form that needs less" })
	return nil
}

// messageIDOnly leaves of the original its Message-ID, and nothing of its
// subject. It is false where there was nothing more before.
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
