package firewall

import (
	"context"
	"slices"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Inbound removes header fields that the client has no right to bring. Its
// zero value removes those of Organization from everybody's mail.
type Inbound struct {
	// Fields are names, or beginnings of names and "*". Default Organization.
	Fields []string
	// Trusts says whose fields are kept: other servers of the organisation.
	// nil trusts nobody.
	Trusts func(s *smtpserver.Session) bool
	// DistrustRouting says from whose mail Received and Resent-* fields are
	// removed, too. nil: from nobody's, as Exchange has it. Without Received
	// fields, mail that runs in circles is not noticed.
	DistrustRouting func(s *smtpserver.Session) bool
}

// Validate says which setting is wrong.
func (f *Inbound) Validate() error { return names(f.Fields).validate("Inbound.Fields") }

// Agent removes fields at the end of data. It belongs after the agents that
// verify signatures, which need the message as it came, and before all that
// read or write the organisation's fields.
func (f *Inbound) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "header firewall", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		ns := f.forbidden(s)
		if len(ns) == 0 {
			return nil
		}
		m.Header.Delete(ns.matchField)
		return nil
	}}
}

var routing = names{"Received", "Resent-*"}

func (f *Inbound) forbidden(s *smtpserver.Session) names {
	var ns names
	if f.Trusts == nil || !f.Trusts(s) {
		ns = namesOr(f.Fields)
	}
	if f.DistrustRouting != nil && f.DistrustRouting(s) {
		ns = slices.Concat(ns, routing)
	}
	return ns
}
