package firewall

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Outbound removes internal header fields from mail that leaves the
// organization, and from the original messages that delivery reports enclose
// (RFC 3462: message/rfc822, message/global or text/rfc822-headers in a
// multipart/report). In text/rfc822-headers it searches the first 256 KiB. It
// does not search such a part if the part is in base64 or quoted-printable. Its
// zero value removes the fields of Organization.
//
// If a message has too many parts, Outbound refuses it with 554 5.6.0. If other
// programs may read a report differently, Outbound refuses it with 550 5.6.0,
// because an enclosed message could remain undetected.
//
// Use it as a queue.Hook or as an agent of the server that accepts the
// organization's own mail. Only the hook also sees the messages that the relay
// itself sends.
type Outbound struct {
	// Fields are the patterns of the fields to remove. A pattern is a name, or
	// a prefix followed by "*". Upper and lower case are the same. Default
	// Organization.
	Fields []string
	// Leaves reports whether a message leaves the organization. Only the hook
	// uses it. If it is nil, all messages leave.
	Leaves func(m *queue.Message) bool
}

// Validate returns an error that names the first setting that is wrong.
func (f *Outbound) Validate() error { return names(f.Fields).validate("Outbound.Fields") }

// Agent returns an agent that removes the fields at the end of data.
func (f *Outbound) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "header firewall out", EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		_, err := f.clean(m)
		return err
	}}
}

// Hook returns a hook that removes the fields when a message is submitted to
// the queue.
func (f *Outbound) Hook() queue.Hook {
	return queue.Hook{Name: "header firewall out", Submitted: func(_ context.Context, qm *queue.Message) error {
		if f.Leaves != nil && !f.Leaves(qm) {
			return nil
		}
		m := new(smtpserver.Message)
		if err := m.SetContent(qm.Content); err != nil {
			return err
		}
		changed, err := f.clean(m)
		if changed {
			qm.Content = m.Content()
		}
		return err
	}}
}

func (f *Outbound) clean(m *smtpserver.Message) (changed bool, err error) {
	ns := namesOr(f.Fields)
	n := m.Header.Delete(ns.matchField)
	edits, err := enclosed(m, ns)
	if err != nil {
		return n > 0, err
	}
	envelope.EditBody(m, edits)
	return n > 0 || len(edits) > 0, nil
}

var errComplex = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Message has too many parts to remove header fields from it"}

var errUnclear = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Malformed report: programs may read its parts differently"}

// enclosed returns the edits that remove fields from the original messages that
// a report encloses (RFC 3462: message/rfc822, or text/rfc822-headers).
func enclosed(m *smtpserver.Message, ns names) ([]envelope.Edit, error) {
	c := m.Content()
	parts, err := mimetree.Parse(c, mimetree.Limits{})
	if errors.Is(err, mimetree.ErrLimit) {
		return nil, errComplex
	}
	if err != nil || !slices.Contains(parts[0].Types(), "multipart/report") {
		return nil, err
	}
	var edits []envelope.Edit
	for i := range parts {
		p := &parts[i]
		switch {
		case p.Parent <= 0 && p.UnclearTree() != "":
			return nil, errUnclear // another program may find the original in another part
		case p.Parent >= 0 && enclosing(parts[p.Parent].Type):
			edits = append(edits, fieldsIn(p.Header, p.Start, ns)...)
		case p.Type == "text/rfc822-headers" && p.Encoding != "base64" && p.Encoding != "quoted-printable":
			b := make([]byte, min(p.End-p.Body, 256<<10))
			if _, err := c.ReadAt(b, p.Body); err != nil {
				return nil, err
			}
			edits = append(edits, fieldsIn(b, p.Body, ns)...)
		}
	}
	return edits, nil
}

func enclosing(mediaType string) bool {
	return mediaType == "message/rfc822" || mediaType == "message/global"
}

// fieldsIn returns the edits that remove fields from a raw header. at is the
// offset of the header in the message.
func fieldsIn(raw []byte, at int64, ns names) []envelope.Edit {
	var edits []envelope.Edit
	for f := range header.All(raw) {
		if ns.matchField(smtpserver.Field(f)) || ns.matchHidden(f) {
			edits = append(edits, envelope.Edit{Start: at, End: at + int64(len(f))})
		}
		at += int64(len(f))
	}
	return edits
}

// matchHidden reports whether some programs may find one of the fields in a line
// that is not a valid field: one that is folded before its colon or begins with
// white space.
func (ns names) matchHidden(f header.Field) bool {
	if f.Name() != "" {
		return false
	}
	name, _, found := strings.Cut(header.Unfold(string(f)), ":")
	return found && ns.match(strings.TrimSpace(name))
}
