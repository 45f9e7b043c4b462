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
