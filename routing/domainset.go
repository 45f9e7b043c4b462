package routing

import "strings"

// A domainSet is a list of patterns: "example.com", and "*.example.com", which
// includes the domain itself. A lookup takes constant time for any length of
// the list. Domains are in canonical form. The zero value is empty.
type domainSet struct {
	exact, below map[string]bool
}

// add adds a pattern in the form that parsePattern returns.
func (s *domainSet) add(domain string, below bool) {
	m := &s.exact
	if below {
		m = &s.below
	}
	if *m == nil {
		*m = make(map[string]bool)
	}
	(*m)[domain] = true
}

// has reports whether a domain matches one of the patterns.
func (s *domainSet) has(domain string) bool { return s.exact[domain] || s.covers(domain) }

// covers reports whether a domain and all its subdomains match one of the
// patterns.
func (s *domainSet) covers(domain string) bool {
	for more := len(s.below) > 0; more; _, domain, more = strings.Cut(domain, ".") {
		if s.below[domain] {
			return true
		}
	}
	return false
}
