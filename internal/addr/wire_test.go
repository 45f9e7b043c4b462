package addr

import (
	"strings"
	"testing"
)

func TestNotOnWire(t *testing.T) {
	for a, want := range map[string]string{
		"bob@example.com":         "",
		"":                        "",
		`"a b<>"@example.com`:     "",
		`"a\"b"@example.com`:      "",
		"bob@example.com>":        "has '>' outside quotes",
		"Bob bob@example.com":     "has ' ' outside quotes",
		"bob@example.com\r\nDATA": "has a control character",
		"\"a\\\n\"@example.com":   "has a control character",
		`"a@example.com`:          "has an open quote",
		"\xff@example.com":        "is not UTF-8",
		strings.Repeat("x", 300) + "@example.com": "",
		"postmaster":                   "",
		"a..b.@example.com":            "",
		"bob@example.com.":             "",
		"bob@bücher.example":           "",
		"bob@[IPv6:::ffff:192.0.2.1]":  "",
		`a\"b>c"@example.com`:          `is not an address: unexpected "\\\"b>c\"@example.com" after the address`,
		"bob@exam\u3000ple.com":        `is not an address: domain "exam\u3000ple.com": has a character that is not allowed in host names`,
		"bob@example..com":             `is not an address: domain "example..com": empty, or has an empty label`,
		"bob\u0085@example.com":        "is not an address: control character in address",
		"@a.example:bob@example.com":   "is not an address: local part is empty",
		strings.Repeat("x", maxWire+1): "is longer than 1000 octets",
	} {
		if got := NotOnWire(a); got != want {
			t.Errorf("%.40q: %q, want %q", a, got, want)
		}
	}
}

// The check for the common case accepts nothing that the parser refuses.
func TestPlainAddressIsAnAddress(t *testing.T) {
	const alphabet = `a.@-_+"<Z0[`
	n := 0
	for i := range 200_000 {
		var b strings.Builder
		b.WriteByte(alphabet[i%len(alphabet)])
		for k := i; k > 0; k /= len(alphabet) {
			b.WriteByte(alphabet[k%len(alphabet)])
		}
		a := b.String() + "@b.example"[:i%11]
		if !plain(a) {
			continue
		}
		n++
		if err := wireAddress(a); err != nil {
			t.Errorf("%q: %v", a, err)
		}
	}
	if n < 1000 {
		t.Errorf("only %d addresses are plain", n)
	}
}
