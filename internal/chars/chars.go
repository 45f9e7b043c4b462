// Package chars has the small tests and changes of strings that several packages
// need.
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

// OneLine replaces with a space each character that could end a line or control
// a terminal: the control characters of ASCII and of Unicode (C1), and the line
// and paragraph separators.
func OneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, s)
}
