package dsn

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// A report for SMTPUTF8 has the reply unchanged, any other report has it in
// ASCII. Control characters are never written.
func TestDiagnostic(t *testing.T) {
	for _, test := range []struct{ text, ascii, global string }{
		{"550 5.1.1 No such user", "550 5.1.1 No such user", "550 5.1.1 No such user"},
		{"550 Empfänger unbekannt", `550 Empf\x{E4}nger unbekannt`, "550 Empfänger unbekannt"},
		{"550 😀", `550 \x{1F600}`, "550 😀"},
		{`550 DOM\user`, `550 DOM\user`, `550 DOM\user`},
		{`550 \x{E4}`, `550 \x{5C}x{E4}`, `550 \x{5C}x{E4}`},
		{"550 a\r\nb\tc\x00", "550 a  b c ", "550 a  b c "},
		{"550 a\u009bb", `550 a\x{9B}b`, `550 a\x{9B}b`},
		{"550 \xe4\xff", "550 ??", "550 ??"},
		{strings.Repeat("x", 5000) + " y", strings.Repeat("x", wordMost) + " y", strings.Repeat("x", wordMost) + " y"},
		{strings.Repeat("x ", 5000), strings.Repeat("x ", diagnosticMost/2) + "...", strings.Repeat("x ", diagnosticMost/2) + "..."},
	} {
		if got := diagnostic(test.text, false); got != test.ascii {
			t.Errorf("%.40q in ASCII: %.60q, want %.60q", test.text, got, test.ascii)
		}
		if got := diagnostic(test.text, true); got != test.global {
			t.Errorf("%.40q in UTF-8: %.60q, want %.60q", test.text, got, test.global)
		}
	}
}

// Text that diagnostic did not write is not changed.
func TestUndiagnostic(t *testing.T) {
	for _, s := range []string{"", `\`, `\x{`, `\x{}`, `\x{41}`, `\x{9B}`, `\x{D800}`, `\x{110000}`, `\x{1234567}`, `\x{E4`, `\x{ E4}`} {
		if got := undiagnostic(s); got != s {
			t.Errorf("%q is read as %q", s, got)
		}
	}
	if got := undiagnostic(`a\x{x\x{E4}\x{5C}x{41}`); got != `a\x{xä\x{41}` {
		t.Errorf("%q", got)
	}
}

func FuzzDiagnostic(f *testing.F) {
	for _, s := range []string{"550 no", "Empfänger", `\x{5C}`, "\xff", "\u009b", `\x{`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, g := diagnostic(s, false), diagnostic(s, true)
		if !chars.ASCII(a) || strings.ContainsAny(a+g, "\r\n\x00") || !utf8.ValidString(g) {
			t.Errorf("%q, %q", a, g)
		}
		if len(s) < 100 && undiagnostic(a) != undiagnostic(g) {
			t.Errorf("%q and %q are read differently", a, g)
		}
		for line := range strings.SplitSeq(fold(a), "\r\n") {
			if len(line) > 998 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	})
}
