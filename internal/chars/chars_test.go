package chars_test

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

func TestASCII(t *testing.T) {
	for s, want := range map[string]bool{"": true, "a\x00\x7f": true, "ü": false, "a\x80": false, "\xff": false} {
		if chars.ASCII(s) != want || chars.ASCII([]byte(s)) != want {
			t.Errorf("%q: ASCII is not %v", s, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for s, want := range map[string]string{
		"Grüße, 你好 \\ \"x\"":  "Grüße, 你好 \\ \"x\"",
		"a\r\nb\tc\x00d\x7fe": "a  b c d e",
		"a\u0085b\u009bc":     "a b c",
		"a\u2028b\u2029c":     "a b c",
	} {
		if got := chars.OneLine(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// A text from a stranger: escapes, the limit, and what must not change.
func TestInert(t *testing.T) {
	for s, want := range map[string]string{
		"":                      "",
		"plain <b>text</b>":     "plain <b>text</b>",
		"Grüße 中文":              "Grüße 中文",
		"a\x1b[31m\x7f\r\n\xff": `a\x1B[31m\x7F\x0D\x0A\xFF`,
		"\u202egpj.exe\u200b":   `\u202Egpj.exe\u200B`,
		"\u009b\u2028":          `\u009B\u2028`,
		"\U000E0041":            `\U000E0041`,
		"e\u0301":               "e\u0301",
	} {
		if got := chars.Inert(s, 0); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	for s, want := range map[string]string{"abcd": "abcd", "abcde": "abcd…", "äöüß": "äöüß", "äöüßä": "äöüß…"} {
		if got := chars.Inert(s, 4); got != want {
			t.Errorf("%q cut: %q, want %q", s, got, want)
		}
	}
}
