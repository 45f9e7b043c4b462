package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
)

// Limits of RFC 7208, 4.6.4.
const (
	maxLookups = 10 // terms that cause DNS queries
	maxVoid    = 2  // terms with an empty answer ("void lookups")
	maxNames   = 10 // names of one mx mechanism, and of the client's PTR records
)

// An evaluation is one call of check_host(), with the calls for include and
// redirect.
type evaluation struct {
	ctx      context.Context
	resolver Resolver
	ip       netip.Addr
	local    string // of the sender
	domain   string // of the sender
	helo     string
	receiver string

	lookups, voids int
	ptrAsked       bool
	ptrVoid        bool
	names          []string // the client's validated names (RFC 7208, 5.5)
}

// An outcome is the result of check_host() for one domain.
type outcome struct {
	result Result
	term   string
	err    error
	exp    *modifier // the exp modifier of the record that matched
	domain string    // the owner of that record
}

func failed(result Result, domain, term string, err error) outcome {
	var e *termError
	if errors.As(err, &e) && e.domain != "" {
		return outcome{result: e.result, err: e} // the error of an include has more details
	}
	return outcome{result: result, err: &termError{result, domain, term, err}}
}

// checkHost implements check_host() (RFC 7208, 4) for e's client.
func (e *evaluation) checkHost(domain string) outcome {
	if !isHostName(domain) {
		return failed(None, domain, "", errors.New("not a valid domain name"))
	}
	r, result, err := e.fetch(domain)
	if err != nil {
		var t *termError
		if errors.As(err, &t) {
			return failed(result, domain, t.term, t.err)
		}
		return failed(result, domain, "", err)
	}
	for i := range r.directives {
		d := &r.directives[i]
		match, err := e.match(d, domain)
		switch {
		case err != nil && errors.Is(err, errTemporary):
			return failed(TempError, domain, d.text, err)
		case err != nil:
			return failed(PermError, domain, d.text, err)
		case match:
			return outcome{result: d.result, term: d.text, exp: r.exp, domain: domain}
		}
	}
	if r.redirect != nil {
		return e.redirect(r.redirect, domain)
	}
	return outcome{result: Neutral}
}

// fetch finds and parses the domain's record (RFC 7208, 4.4 to 4.6).
func (e *evaluation) fetch(domain string) (*record, Result, error) {
	txts, err := lookup.TXT(e.ctx, e.resolver, domain)
	if err != nil {
		return nil, TempError, fmt.Errorf("%w: %w", errTemporary, err)
	}
	var found []string
	for _, txt := range txts {
		if isRecord(txt) {
			found = append(found, txt)
		}
	}
	switch len(found) {
	case 0:
		return nil, None, errors.New("no SPF record")
	case 1:
		r, err := parse(found[0])
		return r, PermError, err
	}
	return nil, PermError, fmt.Errorf("%d SPF records", len(found))
}

// redirect continues with the policy of another domain (RFC 7208, 6.1).
func (e *evaluation) redirect(m *modifier, domain string) outcome {
	if err := e.count(); err != nil {
		return failed(PermError, domain, m.text, err)
	}
	o := e.checkHost(e.expand(m.domain, domain))
	if o.result == None {
		return failed(PermError, domain, m.text, fmt.Errorf("the target has no policy: %v", o.err))
	}
	return o
}

// count counts a term that causes DNS queries. It returns an error if there are
// too many.
func (e *evaluation) count() error {
	if e.lookups++; e.lookups > maxLookups {
		return fmt.Errorf("more than %d terms cause DNS queries", maxLookups)
	}
	return nil
}

// void counts a term with an empty answer. It returns an error if there are too
// many.
func (e *evaluation) void() error {
	if e.voids++; e.voids > maxVoid {
		return fmt.Errorf("more than %d terms have an empty answer from DNS", maxVoid)
	}
	return nil
}

// expand returns the value of a domain-spec. A nil m is the current domain.
func (e *evaluation) expand(m macro, domain string) string {
	if m == nil {
		return domain
	}
	return cutDomain(m.expand(func(letter byte) string { return e.macroValue(letter, domain) }))
}

// isHostName reports whether a domain can have a policy: it is a valid name in
// ASCII, has more than one label (RFC 7208, 4.3), and is not an address literal.
func isHostName(s string) bool {
	if !lookup.Valid(s) || strings.IndexByte(strings.TrimSuffix(s, "."), '.') < 0 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '[' || c == ']' {
			return false
		}
	}
	return true
}
