package dsn

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ownDiagnostic is the diagnostic-type of a Reason, which is not a reply of a
// host. (RFC 3464, 2.1.1: types that are not registered begin with "X-".)
const ownDiagnostic = "X-Bridgehead"

// Limits of a Diagnostic-Code in bytes: of the whole, and of one word. A word
// cannot be folded, and a line has at most 998 bytes (RFC 5322, 2.1.1).
const (
	diagnosticMost = 4000
	wordMost       = 900
)

// diagnostic returns s as a text for Diagnostic-Code, on one line. Unless global
// is set, characters that are not ASCII become \x{HEX} (RFC 6533, 3).
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
			continue // real replies have no words this long
		}
		if b.Len()+len(t) > diagnosticMost {
			b.WriteString("...")
			break
		}
		b.WriteString(t)
	}
	return b.String()
}

// undiagnostic is the inverse of diagnostic. It decodes \x{HEX} for a backslash
// or a character that is not ASCII, and leaves any other text unchanged.
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

// fold breaks a long value of Diagnostic-Code into lines, at blanks.
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
