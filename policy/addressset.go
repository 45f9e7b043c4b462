package policy

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// addressSet returns a set of addresses and of local parts, which match in any
// domain.
func addressSet(addresses []string) map[string]bool {
	set := make(map[string]bool, len(addresses))
	for _, a := range addresses {
		set[fold(a)] = true
	}
	return set
}

// checkAddresses returns an error for each entry of a setting that is neither
// an address nor a local part, and so would never match.
func checkAddresses(setting string, list []string) []error {
	var errs []error
	for _, a := range list {
		if addr.Mailbox(a, true) != nil && addr.Mailbox(a+"@example.com", true) != nil {
			errs = append(errs, fmt.Errorf("policy: %s: %q is neither an address nor a local part", setting, a))
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

// fold returns the form in which addresses are compared: in lower case, with a
// canonical domain, without unnecessary quotes. Local parts are folded because
// nearly all mail systems ignore their case.
func fold(address string) string {
	local, domain := addr.Split(address)
	local = addr.FoldLocal(unquoted(local))
	if domain == "" {
		return local
	}
	return local + "@" + addr.DomainOf(address)
}

// unquoted returns the simplest form of a local part: without quotes and
// backslashes that it does not need (RFC 5321, 4.1.2). "alice" in quotes
// becomes alice. A local part with an @ in quotes keeps its quotes, so that it
// does not become an address.
func unquoted(local string) string {
	if !strings.HasPrefix(local, `"`) || addr.Mailbox(local+"@example.com", true) != nil {
		return local
	}
	var plain, quoted strings.Builder
	inner := local[1 : len(local)-1]
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' {
			i++ // a valid quoted string has a byte after the backslash
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

// simplest returns the address with its local part unquoted, otherwise
// unchanged.
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

// isPostmaster reports whether a local part is the reserved one. Only its
// ASCII letters are compared without case.
func isPostmaster(local string) bool {
	const name = "postmaster"
	local = unquoted(local)
	return len(local) == len(name) && strings.EqualFold(local, name)
}
