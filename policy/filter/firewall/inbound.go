package firewall

import (
	"context"
	"slices"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Inbound removes certain header fields from the mail that clients send. Only
// the organization's own systems may write these fields. Its zero value removes
// the fields of Organization from the mail of all clients.
type Inbound struct {
	// Fields are the patterns of the fields to remove. A pattern is a name, or
	// a prefix followed by "*". Upper and lower case are the same. Default
	// Organization.
	Fields []string
	// Trusts reports whether the fields in a session's mail are kept. Use it
	// for other servers of the organization. If it is nil, no session is
	// trusted.
	Trusts func(s *smtpserver.Session) bool
	// RemoveRouting reports whether Received and Resent-* fields are removed
	// from a session's mail, too. If it is nil, they are always kept, as in
	// Exchange. A mail loop is not detected if its Received fields are removed.
	RemoveRouting func(s *smtpserver.Session) bool
}

// Validate returns an error that names the first setting that is wrong.
func (f *Inbound) Validate() error { return names(f.Fields).validate("Inbound.Fields") }

// Agent returns an agent that removes fields at the end of data. Put it after
// the agents that verify signatures, because they need the unchanged message,
// and before all agents that read or write fields of the organization.
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
	if f.RemoveRouting != nil && f.RemoveRouting(s) {
		ns = slices.Concat(ns, routing)
	}
	return ns
}
