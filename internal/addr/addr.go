// Package addr reads mail addresses, for the receive side and the send side of
// a relay alike: it splits mailboxes, brings domains into the form in which they
// are compared, and parses the paths of RFC 5321, 4.1.2. Addresses are strings
// in the form that goes on the wire.
package addr

import "strings"

// Split cuts an address at the @ that separates local part and domain: the last
// one, because a quoted local part may contain an @ and a domain cannot. The
// domain is empty where there is no @ (<postmaster>).
func Split(address string) (local, domain string) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return address, ""
	}
	if j := strings.LastIndexByte(address, '"'); j > i {
		return address, "" // the @ is inside the quotes
	}
	return address[:i], address[i+1:]
}

// DomainOf returns the canonical domain of an address (see Domain). It returns
// a domain that has no canonical form as it is, with A to Z in lower case: such
// a domain equals no valid one.
func DomainOf(address string) string {
	_, d := Split(address)
	c, err := Domain(d)
	if err != nil {
		return asciiLower(d)
	}
	return c
}

// Equal compares two addresses: the domains in canonical form, the local parts
// byte by byte, because only the host of the domain knows which local parts
// are the same (RFC 5321, 2.4).
func Equal(a, b string) bool {
	la, da := Split(a)
	lb, db := Split(b)
	return la == lb && (da == db || DomainOf(a) == DomainOf(b))
}
