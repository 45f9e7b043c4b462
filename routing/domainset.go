package routing

import "strings"

// A domainSet is a list of patterns, "example.com" and "*.example.com" (which
// has the domain itself too), by which domains in canonical form are found in
// constant time however long the list is. The zero value is empty.
type domainSet struct {
	exact, below map[string]bool
}

// add enters a pattern, as parsePattern returns it.
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

// has says whether a domain fits one of the patterns.
func (s *domainSet) has(domain string) bool { return s.exact[domain] || s.covers(domain) }

// covers says whether a domain and all that is below it fit one of the
// patterns.
func (s *domainSet) covers(domain string) bool {
	for more := len(s.below) > 0; more; _, domain, more = strings.Cut(domain, ".") {
		if s.below[domain] {
			return true
		}
	}
	return false
}
