package firewall

import (
	"context"
	"errors"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// External marks mail from outside, so that a recipient sees that "the boss"
// is a stranger. Its zero value adds "X-External: yes"; a field of that name
// that a message brings is removed.
type External struct {
	// Subject, such as "[EXTERNAL] ", is put before the subject, unless the
	// subject has it already: replies do.
	Subject string
	// Header is the name of the field. Default X-External.
	Header string
	// Inside says whose mail is not marked. nil: that of clients who have
	// proved who they are (Session.Identity).
	Inside func(s *smtpserver.Session) bool
}

// Validate says which setting is wrong.
func (e *External) Validate() error {
	if strings.ContainsFunc(e.Header, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return errors.New("firewall: External.Header is no name of a header field")
	}
	if strings.ContainsAny(e.Subject, "\r\n") {
		return errors.New("firewall: External.Subject has a line break")
	}
	return nil
}

// Agent marks at the end of data.
func (e *External) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "external", EndOfData: e.mark}
}

func (e *External) mark(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	name := e.Header
	if name == "" {
		name = "X-External"
	}
	m.Header.Delete(func(f smtpserver.Field) bool { return f.Is(name) })
	inside := e.Inside
	if inside == nil {
		inside = func(s *smtpserver.Session) bool { return s.Identity() != "" }
	}
	if inside(s) {
		return nil
	}
	if e.Subject != "" {
		if err := envelope.PrefixSubject(&m.Header, e.Subject); err != nil {
			return err
		}
	}
	return m.Header.Append(name + ": yes\r\n")
}
