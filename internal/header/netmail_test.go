package header_test

import (
	"net/mail"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// netMail returns the addresses that net/mail finds, with unquoted local parts.
func netMail(value string) (all []string, err error) {
	list, err := (&mail.AddressParser{}).ParseList(value)
	for _, a := range list {
		all = append(all, a.Address)
	}
	return all, err
}

// ours returns the addresses that this package finds, in the same form, for a
// program that sends to them.
func ours(value string) (all []string, err error) {
	list, err := header.Recipients(value)
	for _, a := range list {
		at := strings.LastIndexByte(a, '@')
		if local := a[:at]; strings.HasPrefix(local, `"`) {
			a = header.Unquote(local) + a[at:]
		}
		all = append(all, a)
	}
	return all, err
}

// netMailOnly reports whether net/mail accepts an address that this package does
// not: its local part begins like an encoded-word, which programs may decode, or
// it has a control character.
func netMailOnly(address string) bool {
	return strings.HasPrefix(address, "=?") || strings.ContainsFunc(address, unicode.IsControl)
}

// This package finds the same addresses as net/mail, except netMailOnly. The values
// that only this package accepts are in TestNetMailDifferences.
func FuzzAddressesAndNetMail(f *testing.F) {
	for _, s := range []string{
		"a@b.example", `"x, y" <a@b.example>, c@d.example (e (f))`, "g: a@b, <c@d>;, e@f", `"a b"@c, "\"\\"@d, ""@e`, "a@[1.2.3.4], b@[IPv6:::1]",
		"(c) a(c)@(c)b(c)", "A. B <a@b>", "=?utf-8?q?a=40b?= <c@d>", "=?u?q?a?=@b", "\"a\tb\"@c", "a\u0085@b", "ü <ü@ü>", "g:;", "a..b@c", "<@a:b@c>", "a@b.", "a, b@c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		theirs, err := netMail(value)
		if err != nil || slices.ContainsFunc(theirs, netMailOnly) {
			return
		}
		if got, err := ours(value); err != nil || !slices.Equal(got, theirs) {
			t.Errorf("%q: net/mail reads %q, we read %q, %v", value, theirs, got, err)
		}
	})
}

// The classes of values that the two parse differently, with the reason.
func TestNetMailDifferences(t *testing.T) {
	for _, class := range []struct {
		why          string
		values       []string
		theirs, read bool // net/mail, this package has no error
	}{
		{"comments and white space around @ and dots (RFC 5322, 4.4)",
			[]string{"a @ b.example", "a@b . example", "a . b@c.example", "a@b(c).example"}, false, true},
		{"folding", []string{"a@b.example,\r\n c@d.example", "A\r\n <a@b.example>"}, false, true},
		{"source routes (RFC 5322, 4.4)", []string{"<@a.example:b@c.example>", "<@a.example,@b.example:c@d.example>"}, false, true},
		{"words in a local part of which some are quoted (RFC 5322, 4.4)", []string{`"a".b@c.example`, `a."b c"@d.example`}, false, true},
		{"dots anywhere in a local part: it is the business of its host", []string{"a..b@c.example", ".a@b.example", "a.@b.example"}, false, true},
		{"a dot after the domain", []string{"a@b.example."}, false, true},
		{"empty members of a list (RFC 5322, 4.4)", []string{"g:a@b.example,,c@d.example;", "a@b.example,(c),d@e.example"}, false, true},
		{"white space in a domain literal", []string{"a@[ 192.0.2.1 ]"}, false, true},
		{"a display name without angle brackets", []string{"Scanner a@b.example"}, false, true},
		{"a group without its end, and an end without a group", []string{"g: a@b.example", "a@b.example;"}, false, true},
		{"special characters in a display name", []string{"[A] :-) <a@b.example>", `A\B <a@b.example>`}, false, true},
		{"an encoded-word as a local part, which programs may decode", []string{"=?utf-8?q?a?=@b.example"}, true, false},
		{"control characters, which no address has on a command line", []string{"\"a\tb\"@c.example", "a\u0085@b.example"}, true, false},
		{"what neither reads", []string{"a", "a@", "@b.example", "<a@b.example", `"a@b.example`, "(a@b.example", "a@b@c.example", "a@b..example", "<a@b.example> <c@d.example>", "\xff@b.example", "a@b.example <c@d.example>"}, false, false},
	} {
		for _, v := range class.values {
			_, theirs := netMail(v)
			_, read := ours(v)
			if (theirs == nil) != class.theirs || (read == nil) != class.read {
				t.Errorf("%s: %q: net/mail: %v, we: %v", class.why, v, theirs, read)
			}
		}
	}
}
