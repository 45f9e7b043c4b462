package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// An Action is what a rule does. The functions of this package make them;
// what is wrong with their arguments, Rules.Validate says.
type Action struct {
	name    string // as tracking has it
	details string
	apply   func(m *Mail, matched []string) error
	err     error
}

// Do is an action of one's own, under that name in tracking. matched are the
// recipients that the rule holds for. An error fails the message: 451 for the
// client, unless it is a *smtp.SMTPError.
func Do(name, details string, f func(m *Mail, matched []string) error) Action {
	if name == "" || f == nil {
		return Action{err: errors.New("Do: no name or no function")}
	}
	return Action{name: name, details: details, apply: f}
}

// PrependSubject puts a text before the subject, unless the subject has it.
func PrependSubject(text string) Action {
	if strings.ContainsAny(text, "\r\n") || strings.TrimSpace(text) == "" {
		return Action{err: errors.New("PrependSubject: the text is empty or has a line break")}
	}
	return Do("PrependSubject", text, func(m *Mail, _ []string) error {
		return envelope.PrefixSubject(&m.Message.Header, text)
	})
}

// SetHeader puts one field in the place of all of that name.
func SetHeader(name, value string) Action {
	raw := envelope.Fold(name, value)
	if err := new(smtpserver.Header).Append(raw); err != nil || strings.ContainsAny(name, ": \r\n") {
		return Action{err: fmt.Errorf("SetHeader: %q is no header field", raw)}
	}
	return Do("SetHeader", name+";"+value, func(m *Mail, _ []string) error {
		done := false
		err := m.Message.Header.Replace(func(f smtpserver.Field) (string, bool) {
			if !f.Is(name) {
				return "", false
			}
			if done {
				return "", true
			}
			done = true
			return raw, true
		})
		if err == nil && !done {
			err = m.Message.Header.Append(raw)
		}
		return err
	})
}

// RemoveHeader removes all fields of that name.
func RemoveHeader(name string) Action {
	if name == "" {
		return Action{err: errors.New("RemoveHeader: no name")}
	}
	return Do("RemoveHeader", name, func(m *Mail, _ []string) error {
		m.Message.Header.Delete(func(f smtpserver.Field) bool { return f.Is(name) })
		return nil
	})
}

// SetSCL gives the message a spam confidence level, as content.Rate does.
func SetSCL(level int) Action {
	if level < content.Trusted || level > content.Spam {
		return Action{err: fmt.Errorf("SetSCL: %d is not -1 to 9", level)}
	}
	return Do("SetSCL", strconv.Itoa(level), func(m *Mail, _ []string) error {
		content.Rate(m.Session, level, "transport rules")
		return nil
	})
}

// Redirect sends the message to addresses in place of the recipients that the
// rule holds for.
func Redirect(addresses ...string) Action {
	if err := validAddresses("Redirect", addresses); err != nil {
		return Action{err: err}
	}
	return Do("RedirectMessage", strings.Join(addresses, ";"), func(m *Mail, matched []string) error {
		opts := optionsOf(m.Message, matched[0])
		remove(m.Message, matched)
		for _, a := range addresses {
			envelope.AddWithOptions(m.Session, m.Message, a, opts)
		}
		return nil
	})
}

// Copy also sends the message to addresses. The header does not show them.
func Copy(addresses ...string) Action {
	if err := validAddresses("Copy", addresses); err != nil {
		return Action{err: err}
	}
	return Do("BlindCopyTo", strings.Join(addresses, ";"), func(m *Mail, _ []string) error {
		for _, a := range addresses {
			envelope.Add(m.Session, m.Message, a)
		}
		return nil
	})
}

// Reject refuses the message, for all of its recipients, with that reply; the
// enhanced code is 5.7.1 or 4.7.1.
func Reject(code int, text string) Action {
	if code < 400 || code > 599 {
		return Action{err: fmt.Errorf("Reject: %d is no code of a refusal", code)}
	}
	e := &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: text}
	return Do("RejectMessage", strconv.Itoa(code)+";"+text, func(*Mail, []string) error { return e })
}

// Drop removes the recipients that the rule holds for, without a report.
func Drop() Action {
	return Do("DeleteMessage", "", func(m *Mail, matched []string) error {
		remove(m.Message, matched)
		return nil
	})
}

func validAddresses(action string, addresses []string) error {
	if len(addresses) == 0 || len(addresses) > 100 {
		return fmt.Errorf("%s: %d addresses, not 1 to 100", action, len(addresses))
	}
	for _, a := range addresses {
		if err := envelope.Valid(a); err != nil {
			return fmt.Errorf("%s: %w", action, err)
		}
	}
	return nil
}

// optionsOf are the options of a recipient, for those who get the message in
// its place: reports name the address that the sender used.
func optionsOf(m *smtpserver.Message, to string) smtp.RcptOptions {
	for _, r := range m.Recipients {
		if r.Addr == to {
			if r.Options.OriginalRecipient == "" {
				r.Options.OriginalRecipientType, r.Options.OriginalRecipient = smtp.DSNAddressTypeRFC822, to
			}
			return r.Options
		}
	}
	return smtp.RcptOptions{}
}

func remove(m *smtpserver.Message, gone []string) {
	set := make(map[string]bool, len(gone))
	for _, g := range gone {
		set[g] = true
	}
	m.Recipients = slices.DeleteFunc(slices.Clone(m.Recipients), func(r smtpserver.Recipient) bool { return set[r.Addr] })
}
