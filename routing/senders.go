package routing

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A senderSet is a parsed list of senders. Local parts are compared without
// regard to case.
type senderSet struct {
	all, null bool
	addrs     map[string]bool
	domains   domainSet
}

func parseSenders(list []string) (*senderSet, error) {
	if len(list) == 0 {
		return nil, nil
	}
	s := &senderSet{addrs: make(map[string]bool)}
	for _, text := range list {
		switch {
		case text == "*":
			s.all = true
		case text == "<>":
			s.null = true
		case strings.Contains(text, "@") && !strings.HasPrefix(text, "@"):
			local, domain := addr.Split(text)
			d, err := addr.Domain(domain)
			if err != nil || local == "" {
				return nil, fmt.Errorf("%q is not an address", text)
			}
			s.addrs[addr.FoldLocal(local)+"@"+d] = true
		default:
			d, below, err := parsePattern(strings.TrimPrefix(text, "@"))
			if err != nil {
				return nil, fmt.Errorf("%q: %w", text, err)
			}
			s.domains.add(d, below)
		}
	}
	return s, nil
}

// has reports whether a reverse-path is in the set.
func (s *senderSet) has(from string) bool {
	if s.all || from == "" {
		return s.all || s.null
	}
	local, _ := addr.Split(from)
	domain := addr.DomainOf(from)
	return s.domains.has(domain) || s.addrs[addr.FoldLocal(local)+"@"+domain]
}
