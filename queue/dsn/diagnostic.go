package dsn

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ownDiagnostic is the diagnostic-type of causes that no host has named
// (RFC 3464, 2.1.1: types that are not registered begin with "X-").
const ownDiagnostic = "X-Bridgehead"

// Bounds of a Diagnostic-Code: in all, and of a word in it, which cannot be
// folded (RFC 5322, 2.1.1).
const (
	diagnosticMost = 4000
	wordMost       = 900
)

// diagnostic is a text for Diagnostic-Code, on one line. Where the report is
// ASCII, other characters are written as \x{HEX} (RFC 6533, 3).
func diagnostic(s string, global bool) string {
	var b strings.Builder
	word := 0 // bytes since the last blank
	for i, r := range s {
		t := string(r)
		switch {
		case r == utf8.RuneError:
			t = "?"
		case r < ' ' || r == 0x7f || r == ' ':
			t, word = " ", 0
		case r == '\\' && strings.HasPrefix(s[i:], `\x{`), r > 0x7f && (!global || r < 0xa0):
			t = fmt.Sprintf(`\x{%02X}`, r)
		}
		if word += len(t); word > wordMost {
			continue // no host writes such words
		}
		if b.Len()+len(t) > diagnosticMost {
			b.WriteString("...")
			break
		}
		b.WriteString(t)
	}
	return b.String()
}

// undiagnostic reads what diagnostic has written: a \x{HEX} that stands for a
// backslash or for a character that is not ASCII. Any other text is unchanged.
func undiagnostic(s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		digits, _, closed := strings.Cut(after[:min(len(after), 7)], "}")
		n, err := strconv.ParseUint(digits, 16, 32)
		if c := rune(n); closed && err == nil && utf8.ValidRune(c) && (c == '\\' || c >= 0xa0) {
			b.WriteRune(c)
			s = after[len(digits)+1:]
		} else {
			b.WriteString(`\x{`)
			s = after
		}
	}
}

// fold breaks a long value of Diagnostic-Code at blanks.
func fold(s string) string {
	var b strings.Builder
	col := len("Diagnostic-Code: ")
	for i, word := range strings.Split(s, " ") {
		switch {
		case i == 0:
		case col+len(word) >= 76 && word != "":
			b.WriteString("\r\n ")
			col = 1
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += len(word)
	}
	return b.String()
}
