package console

import (
	"fmt"
	"html/template"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxText is the maximum number of characters of a text that a page shows.
	maxText = 1000
	// maxMarks is the maximum number of combining marks on one character. More of
	// them would cover other lines.
	maxMarks = 4
)

// inert returns a text from a stranger that cannot change how the page looks.
// Control characters (C0 and C1), line and paragraph separators, characters that
// are not visible or change the direction of text, and bytes that are not UTF-8
// are shown as escapes, as in Go: \x0D, \u202E, \U000E0041. A text of more than
// 1000 characters is cut. html/template escapes markup.
func inert(s string) string {
	if len(s) <= maxText && isInert(s) {
		return s
	}
	var b strings.Builder
	marks := 0 // in a row
	for n := 0; len(s) > 0; n++ {
		if n == maxText {
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
		case unicode.IsPrint(r) && !isInvisible(r) && marks <= maxMarks:
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

func isInert(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// isInvisible reports whether a character that Unicode counts as a letter or a
// mark is not visible: fillers, variation selectors, and joiners.
func isInvisible(r rune) bool {
	return unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
}

// exact is a text in a page that must not change, for example the value of a
// hidden field. html/template still escapes it.
type exact string

// inertValue is the function that is added to each value of a template.
func inertValue(v any) any {
	switch v := v.(type) {
	case exact:
		return string(v)
	case template.HTML, template.HTMLAttr, template.URL:
		return v
	case string:
		return inert(v)
	case []string:
		return inert(strings.Join(v, ", "))
	case error:
		return inert(v.Error())
	case fmt.Stringer:
		return inert(v.String())
	}
	return v
}
