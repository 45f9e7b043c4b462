package addr

import (
	"strings"
	"testing"
)

func TestNotOnWire(t *testing.T) {
	for a, want := range map[string]string{
		"bob@example.com":              "",
		"":                             "",
		`"a b<>"@example.com`:          "",
		`"a\"b"@example.com`:           "",
		"bob@example.com>":             "has '>' outside quotes",
		"Bob bob@example.com":          "has ' ' outside quotes",
		"bob@example.com\r\nDATA":      "has a control character",
		"\"a\\\n\"@example.com":        "has a control character",
		`"a@example.com`:               "has an open quote",
		"\xff@example.com":             "is not UTF-8",
		strings.Repeat("x", maxWire+1): "is longer than 1000 octets",
	} {
		if got := NotOnWire(a); got != want {
			t.Errorf("%.40q: %q, want %q", a, got, want)
		}
	}
}
