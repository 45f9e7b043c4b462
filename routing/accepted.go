package routing

import (
	"fmt"
	"strings"
)

// accepted checks that a connector serves each accepted domain, or a part of
// it for a pattern "*.domain". Mail for other domains would be accepted and
// then wait until it expires.
func (b *builder) accepted() {
	if len(b.t.all) > 0 {
		return
	}
	parents := make(map[string]bool) // the domains of all address spaces, and their parent domains
	for _, spaces := range []map[string][]candidate{b.t.exact, b.t.below} {
		for domain := range spaces {
			for d, more := domain, true; more; _, d, more = strings.Cut(d, ".") {
				parents[d] = true
			}
		}
	}
	b.at = "(site)"
	check := func(field string, list []space) {
		for i, s := range list {
			served := s.below && parents[s.domain]
			b.t.matches(s.domain, func(c candidate) bool {
				served = served || !s.below || c.space.below
				return !served
			})
			if !served {
				b.fault(fmt.Sprintf("%s[%d]", field, i), "no connector serves %q: its mail would be accepted but could not be sent", s.text)
			}
		}
	}
	check("Domains", b.ours)
	check("BackupDomains", b.backup)
}
