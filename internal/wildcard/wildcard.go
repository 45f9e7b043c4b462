// Package wildcard matches strings with patterns as people type them into a
// search: '*' stands for anything, and case does not matter.
package wildcard

import "strings"

// Match compares all of s with a pattern. The empty pattern matches anything.
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
