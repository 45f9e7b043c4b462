package content

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Filter stamps the spam confidence level into the header and acts on it.
// Reject, Quarantine and Mark are the levels from which it does; 0 is never.
// Its zero value only stamps.
type Filter struct {
	// Reject refuses the message with 550 5.7.1.
	Reject int
	// Quarantine sends it to QuarantineTo in place of its recipients, who are
	// named in X-Quarantine-Recipient fields.
	Quarantine   int
	QuarantineTo string
	// Mark adds "X-Spam-Flag: YES", and puts Subject (such as "[SPAM] ") before
	// the subject.
	Mark    int
	Subject string

	// Header is the field for the level. Default
	// X-MS-Exchange-Organization-SCL, which Exchange and Outlook act on. What a
	// message brings under that name is removed, and so is X-Spam-Flag.
	Header string
	// Trusts says whose messages are not judged: they are stamped -1. nil
	// trusts no session.
	Trusts func(s *smtpserver.Session) bool
}

const flagField = "X-Spam-Flag"

// Validate says which setting is wrong.
func (f *Filter) Validate() error {
	for name, level := range map[string]int{"Reject": f.Reject, "Quarantine": f.Quarantine, "Mark": f.Mark} {
		if level < 0 || level > Spam {
			return fmt.Errorf("content: Filter.%s is %d, not 1 to 9, or 0 for never", name, level)
		}
	}
	if f.Quarantine > 0 {
		if err := envelope.Valid(f.QuarantineTo); err != nil {
			return fmt.Errorf("content: Filter.QuarantineTo: %w", err)
		}
	}
	if strings.ContainsFunc(f.Header, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return errors.New("content: Filter.Header is no name of a header field")
	}
	if strings.ContainsAny(f.Subject, "\r\n\x00") {
		return errors.New("content: Filter.Subject has a line break")
	}
	return nil
}

// Agent judges at the end of data; it belongs after the agents that rate.
func (f *Filter) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "content filter", EndOfData: f.judge}
}

func (f *Filter) judge(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	header := f.Header
	if header == "" {
		header = "X-MS-Exchange-Organization-SCL"
	}
	ours := func(name string) bool { return strings.EqualFold(name, header) || strings.EqualFold(name, flagField) }
	m.Header.Delete(func(field smtpserver.Field) bool { return ours(field.Name()) })
	if f.Trusts != nil && f.Trusts(s) {
		Rate(s, Trusted, "content filter")
	}
	r, ok := RatingOf(s)
	if !ok {
		return nil
	}
	reached := func(level int) bool { return level > 0 && r.Level >= level }
	if reached(f.Reject) {
		return errSpam
	}
	if err := m.Header.Append(header + ": " + strconv.Itoa(r.Level) + "\r\n"); err != nil {
		return err
	}
	if reached(f.Mark) {
		if err := f.mark(m); err != nil {
			return err
		}
	}
	if reached(f.Quarantine) {
		return f.quarantine(s, m)
	}
	return nil
}

var errSpam = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Message refused as spam"}

func (f *Filter) mark(m *smtpserver.Message) error {
	if err := m.Header.Append(flagField + ": YES\r\n"); err != nil {
		return err
	}
	if f.Subject == "" {
		return nil
	}
	return envelope.PrefixSubject(&m.Header, f.Subject)
}

func (f *Filter) quarantine(s *smtpserver.Session, m *smtpserver.Message) error {
	if err := envelope.Valid(f.QuarantineTo); err != nil {
		return err // 451: the client sends it again
	}
	return envelope.Quarantine(s, m, f.QuarantineTo)
}
