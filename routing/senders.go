package routing

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A senderSet is a list of senders that has been understood. Local parts are
// compared without regard to case, as an operator who lists people means it.
type senderSet struct {
	all, null bool
	addrs     map[string]bool
	domains   map[string]bool
	below     map[string]bool
}

func parseSenders(list []string) (*senderSet, error) {
	if len(list) == 0 {
		return nil, nil
	}
	s := &senderSet{addrs: map[string]bool{}, domains: map[string]bool{}, below: map[string]bool{}}
	for _, text := range list {
		switch {
		case text == "*":
			s.all = true
		case text == "<>":
			s.null = true
		case strings.Contains(text, "@") && !strings.HasPrefix(text, "@"):
			local, domain := addr.Split(text)
			d, err := hostName(domain)
			if err != nil || local == "" {
				return nil, fmt.Errorf("%q is not an address", text)
			}
			s.addrs[strings.ToLower(local)+"@"+d] = true
		default:
			d, below, err := parsePattern(strings.TrimPrefix(text, "@"))
			switch {
			case err != nil:
				return nil, fmt.Errorf("%q: %w", text, err)
			case below:
				s.below[d] = true
			default:
				s.domains[d] = true
			}
		}
	}
	return s, nil
}

// has says whether a reverse-path is in the set.
func (s *senderSet) has(from string) bool {
	if s.all || from == "" {
		return s.all || s.null
	}
	local, _ := addr.Split(from)
	domain := addr.DomainOf(from)
	if s.domains[domain] || s.addrs[strings.ToLower(local)+"@"+domain] {
		return true
	}
	for d, ok := domain, len(s.below) > 0; ok; _, d, ok = strings.Cut(d, ".") {
		if s.below[d] {
			return true
		}
	}
	return false
}
