package firewall

import (
	"context"

	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// External marks mail that comes from outside, so that a recipient notices a
// sender who only claims to be a colleague. Its zero value adds the header
// field "X-External: yes". External removes fields of this name that a message
// already has, also from mail that it does not mark.
type External struct {
	// Subject is a prefix for the subject, such as "[EXTERNAL] ". It is not
	// added to a subject that already has it within the first 40 bytes, for
	// example after "Re:". Default: the subject does not change.
	Subject string
	// Header is the name of the field. Default X-External.
	Header string
	// Inside reports whether a session's mail comes from inside. Such mail is
	// not marked. Default: clients that have logged in (Session.Identity is
	// not empty).
	Inside func(s *smtpserver.Session) bool
}

// Validate returns an error that names the first setting that is wrong.
func (e *External) Validate() error {
	return envelope.CheckMark("firewall: External", e.Header, e.Subject)
}

// Agent returns an agent that marks messages at the end of data.
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
