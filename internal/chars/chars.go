// Package chars contains small functions on strings that several packages need.
package chars

import (
	"strings"
	"unicode/utf8"
)

// ASCII reports whether all octets of s are ASCII.
func ASCII[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// OneLine replaces each character that could end a line or control a terminal
// with a space: the control characters of ASCII and Unicode (C1), and the line
// and paragraph separators.
func OneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, s)
}
