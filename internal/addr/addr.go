// Package addr parses mail addresses, for the receiving and the sending side of
// a relay. It splits mailboxes, converts domains to their canonical form, and
// parses the paths of RFC 5321, 4.1.2. Addresses are strings in the form of
// SMTP commands.
package addr

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// Split splits an address at the @ between local part and domain. This is the
// last @, because a quoted local part may contain an @ and a domain cannot. If
// there is no @ (<postmaster>), the domain is empty.
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

// DomainOf returns the domain of an address in the form of FoldDomain.
func DomainOf(address string) string {
	_, d := Split(address)
	return FoldDomain(d)
}

// FoldDomain returns the canonical form of a domain (see Domain). If the domain
// is not valid, it returns the domain with A to Z in lower case. Such a result
// equals no valid domain.
func FoldDomain(domain string) string {
	c, err := Domain(domain)
	if err != nil {
		return Lower(domain)
	}
	return c
}

// ToASCII returns an address with its domain in A-labels, for hosts without
// SMTPUTF8. It returns false if the address has no such form: if its local part
// is not ASCII, or its domain is not valid.
func ToASCII(address string) (string, bool) {
	if chars.ASCII(address) {
		return address, true
	}
	local, domain := Split(address)
	d, err := Domain(domain)
	if err != nil || !chars.ASCII(local) {
		return "", false
	}
	return local + "@" + d, true
}

// ToUnicode returns an address for hosts with SMTPUTF8: it replaces the
// non-ASCII labels of the domain with U-labels in normal form (RFC 5890,
// 2.3.2.1), so that "x@BÜCHER。example" becomes "x@bücher.example". It returns
// an address unchanged if it has no such labels or if its domain is not valid.
func ToUnicode(address string) string {
	if chars.ASCII(address) {
		return address
	}
	local, domain := Split(address)
	if chars.ASCII(domain) {
		return address
	}
	if _, err := Domain(domain); err != nil {
		return address
	}
	labels := strings.Split(dots.Replace(domain), ".")
	for i, label := range labels {
		if chars.ASCII(label) {
			continue
		}
		a, err := aLabel(label)
		if err != nil {
			return address
		}
		if labels[i], err = toASCII.ToUnicode(a); err != nil {
			return address
		}
	}
	return local + "@" + strings.Join(labels, ".")
}

// FoldLocal returns a local part in lower case, for lists that ignore case. It
// does not convert other characters to ASCII: the Kelvin sign (U+212A) does not
// become "k", because no host treats them as equal.
func FoldLocal(local string) string {
	if chars.ASCII(local) {
		return Lower(local)
	}
	return strings.Map(func(r rune) rune {
		l := unicode.ToLower(r)
		if r >= utf8.RuneSelf && l < utf8.RuneSelf {
			return r
		}
		return l
	}, local)
}

// Lower returns s with A to Z in lower case and all other characters unchanged.
// This is the case folding of the DNS (RFC 4343). strings.ToLower converts some
// other characters to ASCII letters.
func Lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// Equal reports whether two addresses are equal. It compares the domains in
// canonical form, and the local parts byte by byte: only the host of the domain
// knows which local parts are equal (RFC 5321, 2.4).
func Equal(a, b string) bool {
	la, da := Split(a)
	lb, db := Split(b)
	return la == lb && (da == db || DomainOf(a) == DomainOf(b))
}

// A Key is the canonical form of an address: two addresses are equal, as Equal says,
// if their keys are. It is for maps: to look up each of n addresses in a list of n
// with Equal takes time with the square of n.
type Key struct{ local, domain string }

// KeyOf returns the key of an address.
func KeyOf(address string) Key {
	local, domain := Split(address)
	return Key{local, FoldDomain(domain)}
}

// EqualFold reports whether two addresses are equal, as Equal does, but ignores
// the case of the local parts.
func EqualFold(a, b string) bool {
	la, _ := Split(a)
	lb, _ := Split(b)
	return FoldLocal(la) == FoldLocal(lb) && DomainOf(a) == DomainOf(b)
}
