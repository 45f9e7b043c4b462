package policy

import (
	"fmt"
	"strings"

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

// checkAddresses tells what in a setting is neither an address nor the local
// part of one, and so would never match.
func checkAddresses(setting string, list []string) []error {
	var errs []error
	for _, a := range list {
		if addr.Mailbox(a, true) != nil && addr.Mailbox(a+"@example.com", true) != nil {
			errs = append(errs, fmt.Errorf("policy: %s: %q is neither an address nor the local part of one", setting, a))
		}
	}
	return errs
}

func inAddressSet(set map[string]bool, address string) bool {
	if len(set) == 0 {
		return false
	}
	f := fold(address)
	local, _ := addr.Split(f)
	return set[f] || set[local]
}

// fold is the form in which addresses are compared: in lower case, as
// mailboxes everywhere are, with a canonical domain, and without needless
// quotes.
func fold(address string) string {
	local, domain := addr.Split(address)
	local = addr.FoldLocal(unquoted(local))
	if domain == "" {
		return local
	}
	return local + "@" + addr.DomainOf(address)
}

// unquoted is the simplest form of a local part: quotes and backslashes that it
// does not need are no part of it (RFC 5321, 4.1.2). "alice" in quotes is
// alice, but what has an @ in quotes keeps them, so that it is no address.
func unquoted(local string) string {
	if !strings.HasPrefix(local, `"`) || addr.Mailbox(local+"@example.com", true) != nil {
		return local
	}
	var plain, quoted strings.Builder
	inner := local[1 : len(local)-1]
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' {
			i++ // there is a next one, or it would be no quoted string
		}
		if inner[i] == '"' || inner[i] == '\\' {
			quoted.WriteByte('\\')
		}
		plain.WriteByte(inner[i])
		quoted.WriteByte(inner[i])
	}
	if !strings.HasPrefix(plain.String(), `"`) && addr.Mailbox(plain.String()+"@example.com", true) == nil {
		return plain.String()
	}
	return `"` + quoted.String() + `"`
}

// simplest is an address with its local part unquoted, otherwise as it is.
func simplest(address string) string {
	if !strings.HasPrefix(address, `"`) {
		return address
	}
	local, domain := addr.Split(address)
	if domain == "" {
		return unquoted(local)
	}
	return unquoted(local) + "@" + domain
}

// isPostmaster says whether a local part is the reserved one. Only the letters
// of ASCII have upper and lower case in it.
func isPostmaster(local string) bool {
	const name = "postmaster"
	local = unquoted(local)
	return len(local) == len(name) && strings.EqualFold(local, name)
}
