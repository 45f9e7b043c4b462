package chars

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is the maximum number of combining marks on one character. More of
// them would cover other lines.
const maxMarks = 4

// Inert returns a text from a stranger that cannot control a terminal or change how
// the text around it looks. Control characters (C0 and C1), line and paragraph
// separators, characters that are not visible or change the direction of text, and
// bytes that are not UTF-8 are replaced by escapes, as in Go: \x1B, \u202E,
// \U000E0041. If most is not 0, a text of more than most characters is cut.
func Inert(s string, most int) string {
	if Printable(s) && (most == 0 || len(s) <= most) {
		return s
	}
	var b strings.Builder
	marks := 0 // in a row
	for n := 0; len(s) > 0; n++ {
		if most > 0 && n == most {
			b.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		if marks++; !unicode.Is(unicode.M, r) {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && size == 1, r < ' ', r == 0x7f:
			fmt.Fprintf(&b, `\x%02X`, s[0])
		case Visible(r) && marks <= maxMarks:
			b.WriteString(s[:size])
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
		s = s[size:]
	}
	return b.String()
}

// Printable reports whether s has only printable characters of ASCII.
func Printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Visible reports whether a character is printable. Fillers, variation selectors and
// joiners, which Unicode counts as letters or marks, are not.
func Visible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && !unicode.Is(unicode.Variation_Selector, r)
}
