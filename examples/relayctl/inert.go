package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is the maximum number of combining marks on one character. More of
// them would cover other lines.
const maxMarks = 4

// inert returns a text that cannot control a terminal or change how the text
// around it looks. Control characters, line separators, characters that are not
// visible or change the direction of text, and bytes that are not UTF-8 are
// replaced by escapes, as in Go: \x1B, \u202E, \U000E0041.
func inert(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	marks := 0 // in a row
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if marks++; !unicode.Is(unicode.M, r) {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && size == 1, r < ' ', r == 0x7f:
			fmt.Fprintf(&b, `\x%02X`, s[0])
		case isVisible(r) && marks <= maxMarks:
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

// isPlain reports whether s has only printable characters of ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// isVisible reports whether a character is printable, and not a filler, a
// variation selector or a joiner.
func isVisible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && !unicode.Is(unicode.Variation_Selector, r)
}

// inertJSON returns a JSON document with escapes for the characters that could
// control a terminal. Its meaning is the same: in JSON they can only be in
// strings. Bytes that are not UTF-8 become U+FFFD, as for each decoder.
func inertJSON(doc []byte) string {
	s := string(doc)
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || r == '\r': // between the tokens
			b.WriteByte(' ')
		case r != 0x7f && (r < 0x80 || isVisible(r)):
			b.WriteRune(r)
		case r > 0xffff: // RFC 8259, 7: two surrogates
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
