// Package addr reads mail addresses, for the receive side and the send side of
// a relay alike: it splits mailboxes, brings domains into the form in which they
// are compared, and parses the paths of RFC 5321, 4.1.2. Addresses are strings
// in the form that goes on the wire.
package addr

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

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

// DomainOf returns the domain of an address as FoldDomain does.
func DomainOf(address string) string {
	_, d := Split(address)
	return FoldDomain(d)
}

// FoldDomain returns the canonical form of a domain (see Domain) or, where it
// has none, the domain with A to Z in lower case. Such a domain equals no valid
// one.
func FoldDomain(domain string) string {
	c, err := Domain(domain)
	if err != nil {
		return Lower(domain)
	}
	return c
}

// ToASCII returns an address with its domain in A-labels, as hosts without
// SMTPUTF8 need it. It returns false for an address that has no such form: its
// local part is not ASCII, or its domain is none.
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

// ToUnicode returns an address with the labels of its domain that are not ASCII
// as U-labels in normal form (RFC 5890, 2.3.2.1), as hosts with SMTPUTF8 expect
// them: "x@BÜCHER。example" is "x@bücher.example". An address without such labels
// stays as it is, and so does one whose domain is none.
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

// FoldLocal returns a local part in lower case, for lists in which the case of
// letters does not matter. No other character becomes one of ASCII: the Kelvin
// sign (U+212A) is no "k", because no host takes it for one.
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

// Lower returns s with A to Z in lower case, and all else as it is: the case
// folding of the DNS (RFC 4343). strings.ToLower makes ASCII letters of other
// characters.
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

// Equal compares two addresses: the domains in canonical form, the local parts
// byte by byte, because only the host of the domain knows which local parts
// are the same (RFC 5321, 2.4).
func Equal(a, b string) bool {
	la, da := Split(a)
	lb, db := Split(b)
	return la == lb && (da == db || DomainOf(a) == DomainOf(b))
}

// EqualFold compares two addresses as Equal does, but without regard to the case
// of letters in the local parts.
func EqualFold(a, b string) bool {
	la, _ := Split(a)
	lb, _ := Split(b)
	return FoldLocal(la) == FoldLocal(lb) && DomainOf(a) == DomainOf(b)
}
