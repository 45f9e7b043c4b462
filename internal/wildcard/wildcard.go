// Package wildcard matches strings with simple patterns for searches: '*'
// matches any sequence of characters, and case is ignored.
package wildcard

import "strings"

// Match reports whether pattern matches all of s. The empty pattern matches
// every string.
func Match(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	pattern, s = strings.ToLower(pattern), strings.ToLower(s)
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return s == pattern
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for {
		first, rest, wild = strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(s, first)
		}
		i := strings.Index(s, first)
		if i < 0 {
			return false
		}
		s = s[i+len(first):]
	}
}
