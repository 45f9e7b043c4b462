package policy

import (
	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// addressSet is a set of addresses, and of local parts in any domain.
func addressSet(addresses []string) map[string]bool {
	set := make(map[string]bool, len(addresses))
	for _, a := range addresses {
		set[fold(a)] = true
	}
	return set
}

func inAddressSet(set map[string]bool, address string) bool {
	if len(set) == 0 {
		return false
	}
	f := fold(address)
	local, _ := addr.Split(f)
	return set[f] || set[local]
}
