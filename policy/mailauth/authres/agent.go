package authres

import (
	"context"
	"slices"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Stamper adds an Authentication-Results field to messages and removes forged
// ones. The zero value is ready for use. A Stamper is safe for concurrent use;
// its fields must not change after the first use.
type Stamper struct {
	// ID is the authserv-id of this server. Default: the server's host name.
	ID string
	// OtherIDs are the authserv-ids of other hosts of the organization. Incoming
	// fields with one of them are removed too.
	OtherIDs []string
	// RemoveAll removes all incoming Authentication-Results fields, with any id.
	RemoveAll bool
	// Trust reports whether the fields of a session are kept, for example
	// because the client is one of your own hosts and has already checked the
	// message. Default: no session is trusted.
	Trust func(*smtpserver.Session) bool
	// ShowIdentity adds auth=pass with the name of the authenticated user
	// (RFC 8601, 2.7.4). Default: the name is not shown.
	ShowIdentity bool
}

// state is the state of a Stamper for one transaction.
type state struct {
	results []Result // added by other agents
	cleaned bool     // the forged fields were removed
}

func stateOf(s *smtpserver.Session, m *smtpserver.Message) *state {
	st := transaction.Get[state](s, m)
	if st == nil {
		st = new(state)
		transaction.Set(s, m, st)
	}
	return st
}

// Add adds a result to the field of the current transaction of s. It does
// nothing if there is no transaction.
func Add(s *smtpserver.Session, r Result) {
	if m := s.Message(); m != nil {
		st := stateOf(s, m)
		st.results = append(st.results, r)
	}
}

// ResultsOf returns all results for the current transaction of s: those of SPF,
// DKIM and DMARC, then those that other agents added with [Add].
func ResultsOf(s *smtpserver.Session) []Result {
	var results []Result
	if v := spf.VerdictOf(s); v != nil {
		results = append(results, FromSPF(v))
	}
	if v := dkim.VerdictOf(s); v != nil {
		results = append(results, FromDKIM(v)...)
	}
	if v := dmarc.VerdictOf(s); v != nil {
		results = append(results, FromDMARC(v))
	}
	if m := s.Message(); m != nil {
		results = append(results, stateOf(s, m).results...)
	}
	return results
}

// Agent returns an agent that removes forged fields at the end of the header and
// adds the new field at the end of data. It adds no field to a message of an
// authenticated user if there are no results for it.
func (st *Stamper) Agent() smtpserver.Agent {
	return smtpserver.Agent{
		Name: "authres",
		EndOfHeaders: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			st.clean(s, m)
			return nil
		},
		EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			if !stateOf(s, m).cleaned { // an earlier agent ended the EndOfHeaders event
				st.clean(s, m)
			}
			results := ResultsOf(s)
			if st.ShowIdentity && s.Identity() != "" {
				results = append(results, Result{Method: "auth", Value: "pass", Properties: []Property{{"smtp", "auth", s.Identity()}}})
			}
			if len(results) == 0 && s.Identity() != "" {
				return nil
			}
			return m.Header.Prepend(Format(st.id(s), results...))
		},
	}
}

func (st *Stamper) id(s *smtpserver.Session) string {
	if st.ID != "" {
		return st.ID
	}
	return s.Hostname()
}

func (st *Stamper) trusts(s *smtpserver.Session) bool { return st.Trust != nil && st.Trust(s) }

// clean removes forged fields.
func (st *Stamper) clean(s *smtpserver.Session, m *smtpserver.Message) {
	stateOf(s, m).cleaned = true
	if st.trusts(s) {
		return
	}
	ours := append(slices.Clip(st.OtherIDs), st.id(s))
	m.Header.Delete(func(f smtpserver.Field) bool {
		return f.Is("Authentication-Results") && (st.RemoveAll || IsForged(f.Value(), ours...))
	})
}

// IsForged reports whether the value of an Authentication-Results field has one
// of the given authserv-ids, or an id that cannot be read.
func IsForged(value string, ours ...string) bool {
	id, err := ServerID(value)
	return err != nil || slices.ContainsFunc(ours, func(our string) bool {
		own, err := canonical(our)
		return err == nil && domain(own) == domain(id)
	})
}

// domain returns the canonical form of an id that is a domain, and other ids
// unchanged.
func domain(id string) string {
	if d, err := addr.Domain(id); err == nil {
		return d
	}
	return id
}
