// Package addr is the vocabulary of mail addresses that both sides of a relay
// need: splitting a mailbox, comparing domains, and parsing the paths of
// RFC 5321, 4.1.2. Addresses are strings in the form that goes on the wire.
package addr

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Split cuts an address at the @ that separates local part and domain: the
// last one, since a quoted local part may hold others and a domain none.
// The domain is empty where there is no @ (<postmaster>).
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

// DomainOf is the canonical domain of an address (see Domain), or, where it
// has no canonical form, the domain as it stands in lower case.
func DomainOf(address string) string {
	_, d := Split(address)
	c, err := Domain(d)
	if err != nil {
		return strings.ToLower(d)
	}
	return c
}

// lookup maps as browsers and resolvers do, but lets names with underscores
// pass: they exist in mail.
var lookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// Domain is the form in which domains are compared: A-labels, lower case, no
// dot at the end. Address literals ("[192.0.2.1]") are lowered, and those of
// IPv6 brought into the form of RFC 5952.
func Domain(domain string) (string, error) {
	d := strings.TrimSuffix(domain, ".")
	if plain(d) {
		return d, nil
	}
	if strings.HasPrefix(d, "[") && strings.HasSuffix(d, "]") {
		return literal(strings.ToLower(d)), nil
	}
	if len(d) > 4*255 { // longer than 255 octets in A-labels, and idna would be slow about it
		return "", fmt.Errorf("domain %.40q...: %w", domain, errLong)
	}
	if !utf8.ValidString(d) { // idna would make U+FFFD of what is not
		return "", fmt.Errorf("domain %q: %w", domain, errUTF8)
	}
	a, err := lookup.ToASCII(d)
	if err != nil {
		return "", fmt.Errorf("domain %q: %w", domain, err)
	}
	a = strings.TrimSuffix(a, ".") // a full stop of another script is one now
	if len(a) > 255 {              // RFC 5321, 4.5.3.1.2
		return "", fmt.Errorf("domain %q: %w", domain, errLong)
	}
	return a, nil
}

func literal(d string) string {
	const six = "[ipv6:"
	if text, ok := strings.CutPrefix(d, six); ok {
		if ip, err := netip.ParseAddr(text[:len(text)-1]); err == nil && ip.Is6() && ip.Zone() == "" {
			return six + ip.String() + "]"
		}
	}
	return d
}

var (
	errLong = errors.New("longer than 255 octets")
	errUTF8 = errors.New("not UTF-8")
)

// plain says whether a domain is canonical already, the common case.
func plain(d string) bool {
	if len(d) > 255 {
		return false
	}
	for i := range len(d) {
		c := d[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
		if c == '-' && i+3 < len(d) && d[i+1] == '-' {
			return false // perhaps an A-label: let idna judge it
		}
	}
	return true
}

// Equal compares two addresses: domains in their canonical form, local parts
// to the letter, as only the domain's own host may fold them (RFC 5321, 2.4).
func Equal(a, b string) bool {
	la, da := Split(a)
	lb, db := Split(b)
	return la == lb && (strings.EqualFold(da, db) || DomainOf(a) == DomainOf(b))
}
