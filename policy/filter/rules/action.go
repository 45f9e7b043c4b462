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

// An Action is one thing that a rule does with a message. The functions of this
// package make actions. Rules.Validate reports invalid arguments of these
// functions.
type Action struct {
	name    string // in the tracking log
	details string
	apply   func(m *Mail, matched []string) error
	err     error
}

// Do returns an action that calls f. name and details appear in the tracking log.
// matched are the recipients that the rule applies to. If f returns an error, the
// client gets a 451, or the reply in the error if it is a *smtp.SMTPError.
func Do(name, details string, f func(m *Mail, matched []string) error) Action {
	if name == "" || f == nil {
		return Action{err: errors.New("Do: no name or no function")}
	}
	return Action{name: name, details: details, apply: f}
}

// PrependSubject adds a prefix to the subject, unless the subject already has it
// near its beginning.
func PrependSubject(text string) Action {
	if strings.ContainsAny(text, "\r\n") || strings.TrimSpace(text) == "" {
		return Action{err: errors.New("PrependSubject: the text is empty or has a line break")}
	}
	return Do("PrependSubject", text, func(m *Mail, _ []string) error {
		return envelope.PrefixSubject(&m.Message.Header, text)
	})
}

// SetHeader replaces all fields with this name by one field, or adds the field.
func SetHeader(name, value string) Action {
	raw := envelope.Fold(name, value)
	if err := new(smtpserver.Header).Append(raw); err != nil || strings.ContainsAny(name, ": \r\n") {
		return Action{err: fmt.Errorf("SetHeader: %q is not a valid header field", raw)}
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

// RemoveHeader removes all fields with this name.
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
		return Action{err: fmt.Errorf("SetSCL: %d is not from -1 to 9", level)}
	}
	return Do("SetSCL", strconv.Itoa(level), func(m *Mail, _ []string) error {
		content.Rate(m.Session, level, "transport rules")
		return nil
	})
}

// Redirect sends the message to the given addresses, 1 to 100, instead of the
// recipients that the rule applies to.
func Redirect(addresses ...string) Action {
	if err := validAddresses("Redirect", addresses); err != nil {
		return Action{err: err}
	}
	return Do("RedirectMessage", strings.Join(addresses, ";"), func(m *Mail, matched []string) error {
		opts := optionsOf(m.Message, matched[0])
		remove(m.Message, matched)
		envelope.AddWithOptions(m.Session, m.Message, opts, addresses...)
		return nil
	})
}

// Copy adds 1 to 100 addresses as recipients. The header does not show them.
func Copy(addresses ...string) Action {
	if err := validAddresses("Copy", addresses); err != nil {
		return Action{err: err}
	}
	return Do("BlindCopyTo", strings.Join(addresses, ";"), func(m *Mail, _ []string) error {
		envelope.Add(m.Session, m.Message, addresses...)
		return nil
	})
}

// Reject refuses the message for all of its recipients. code is the reply code,
// from 400 to 599. The enhanced status code is 5.7.1 or 4.7.1.
func Reject(code int, text string) Action {
	if code < 400 || code > 599 {
		return Action{err: fmt.Errorf("Reject: the reply code %d is not from 400 to 599", code)}
	}
	e := &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: text}
	return Do("RejectMessage", strconv.Itoa(code)+";"+text, func(*Mail, []string) error { return e })
}

// Drop removes the recipients that the rule applies to. No report is sent.
func Drop() Action {
	return Do("DeleteMessage", "", func(m *Mail, matched []string) error {
		remove(m.Message, matched)
		return nil
	})
}

func validAddresses(action string, addresses []string) error {
	if len(addresses) == 0 || len(addresses) > 100 {
		return fmt.Errorf("%s: the number of addresses is %d, not from 1 to 100", action, len(addresses))
	}
	for _, a := range addresses {
		if err := envelope.Valid(a); err != nil {
			return fmt.Errorf("%s: %w", action, err)
		}
	}
	return nil
}

// optionsOf returns the options of a recipient for the recipients that replace
// it. Its address becomes the original recipient, which reports name.
func optionsOf(m *smtpserver.Message, to string) smtpserver.RcptOptions {
	for _, r := range m.Recipients {
		if r.Addr == to {
			if r.Options.OriginalRecipient == "" {
				r.Options.OriginalRecipientType, r.Options.OriginalRecipient = smtp.DSNAddressTypeRFC822, to
			}
			return r.Options
		}
	}
	return smtpserver.RcptOptions{}
}

func remove(m *smtpserver.Message, gone []string) {
	set := make(map[string]bool, len(gone))
	for _, g := range gone {
		set[g] = true
	}
	m.Recipients = slices.DeleteFunc(slices.Clone(m.Recipients), func(r smtpserver.Recipient) bool { return set[r.Addr] })
}
