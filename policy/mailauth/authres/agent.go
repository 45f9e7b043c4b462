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

// A Stamper writes the field. Its zero value is ready for use. It may be used
// by many sessions at once; its fields must not change meanwhile.
type Stamper struct {
	// ID is our authserv-id. Default: the server's host name.
	ID string
	// Ours are further ids that the organization's own hosts use: fields with
	// one of them are removed too.
	Ours []string
	// RemoveAll removes every such field that comes in, whatever its id.
	RemoveAll bool
	// Trust names sessions whose fields are kept: those of one's own hosts
	// that have checked the mail already. Default: none.
	Trust func(*smtpserver.Session) bool
	// ShowIdentity writes auth=pass with the name of an authenticated user
	// (RFC 8601, 2.7.4). Default: nobody's name is told.
	ShowIdentity bool
}

// left is what agents have left for the field, and whether forged fields were
// removed, of one transaction.
type left struct {
	results []Result
	cleaned bool
}

func leftOf(s *smtpserver.Session, m *smtpserver.Message) *left {
	l := transaction.Kept[left](s, m)
	if l == nil {
		l = new(left)
		transaction.Keep(s, m, l)
	}
	return l
}

// Add leaves a result for the field of the transaction that s has in
// progress.
func Add(s *smtpserver.Session, r Result) {
	if m := s.Message(); m != nil {
		l := leftOf(s, m)
		l.results = append(l.results, r)
	}
}

// ResultsOf are all results about the transaction that s has in progress: of
// SPF, DKIM and DMARC, and what other agents have added.
func ResultsOf(s *smtpserver.Session) []Result {
	var results []Result
	if v := spf.ResultOf(s); v != nil {
		results = append(results, OfSPF(v))
	}
	if v := dkim.ResultOf(s); v != nil {
		results = append(results, OfDKIM(v)...)
	}
	if v := dmarc.ResultOf(s); v != nil {
		results = append(results, OfDMARC(v))
	}
	if m := s.Message(); m != nil {
		results = append(results, leftOf(s, m).results...)
	}
	return results
}

// Agent removes forged fields when the header is complete, and writes the new
// one at the end of data. It writes none for an authenticated user's mail of
// which nothing was checked.
func (st *Stamper) Agent() smtpserver.Agent {
	return smtpserver.Agent{
		Name: "authres",
		EndOfHeaders: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			st.clean(s, m)
			return nil
		},
		EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			if !leftOf(s, m).cleaned { // an agent ended the event before it came here
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
	return s.Server().Hostname
}

func (st *Stamper) trusts(s *smtpserver.Session) bool { return st.Trust != nil && st.Trust(s) }

// clean removes forged fields.
func (st *Stamper) clean(s *smtpserver.Session, m *smtpserver.Message) {
	leftOf(s, m).cleaned = true
	if st.trusts(s) {
		return
	}
	ours := append(slices.Clip(st.Ours), st.id(s))
	m.Header.Delete(func(f smtpserver.Field) bool {
		return f.Is("Authentication-Results") && (st.RemoveAll || IsForged(f.Value(), ours...))
	})
}

// IsForged says whether a field's value claims to be from one of the ids, or
// hides from whom it is.
func IsForged(value string, ours ...string) bool {
	id, err := ServerID(value)
	return err != nil || slices.ContainsFunc(ours, func(our string) bool {
		own, err := canonical(our)
		return err == nil && domain(own) == domain(id)
	})
}

// domain is an id as a domain, where it is one that has another form.
func domain(id string) string {
	if d, err := addr.Domain(id); err == nil {
		return d
	}
	return id
}
