package content

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Filter writes the spam confidence level of a message into the header and acts
// on it. Its zero value only writes the level. A message without a level gets no
// field and passes.
type Filter struct {
	// Reject is the lowest level, from 1 to 9, at which messages are refused
	// with 550 5.7.1. 0 means never.
	Reject int
	// Quarantine is the lowest level, from 1 to 9, at which messages are sent
	// to QuarantineTo instead of their recipients. X-Quarantine-Recipient
	// fields then name the recipients. 0 means never.
	Quarantine int
	// QuarantineTo is the quarantine address. It is required if Quarantine is
	// set.
	QuarantineTo string
	// Mark is the lowest level, from 1 to 9, at which messages are marked with
	// the header field "X-Spam-Flag: YES" and the prefix Subject. 0 means
	// never.
	Mark int
	// Subject is the prefix for the subject of marked messages, such as
	// "[SPAM] ". Default: the subject does not change.
	Subject string

	// Header is the name of the field with the level. Default
	// X-MS-Exchange-Organization-SCL, which Exchange and Outlook act on.
	// Fields of this name, and X-Spam-Flag fields, that a message already has
	// are removed.
	Header string
	// Trusts reports whether a session's messages are trusted. They get level
	// -1, which no threshold matches. If it is nil, no session is trusted.
	Trusts func(s *smtpserver.Session) bool
}

const flagField = "X-Spam-Flag"

// Validate returns an error that names the setting that is wrong.
func (f *Filter) Validate() error {
	for name, level := range map[string]int{"Reject": f.Reject, "Quarantine": f.Quarantine, "Mark": f.Mark} {
		if level < 0 || level > Spam {
			return fmt.Errorf("content: Filter.%s is %d: it must be 1 to 9, or 0 for never", name, level)
		}
	}
	if f.Quarantine > 0 {
		if err := envelope.Valid(f.QuarantineTo); err != nil {
			return fmt.Errorf("content: Filter.QuarantineTo: %w", err)
		}
	}
	return envelope.CheckMark("content: Filter", f.Header, f.Subject)
}

// Agent returns an agent that acts on the level at the end of data. Put it after
// the agents that call Rate.
func (f *Filter) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "content filter", EndOfData: f.check}
}

func (f *Filter) check(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	levelField := f.Header
	if levelField == "" {
		levelField = "X-MS-Exchange-Organization-SCL"
	}
	ours := func(name string) bool {
		return strings.EqualFold(name, levelField) || strings.EqualFold(name, flagField)
	}
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
	if err := m.Header.Append(levelField + ": " + strconv.Itoa(r.Level) + "\r\n"); err != nil {
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
