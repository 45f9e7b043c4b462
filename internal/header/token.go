package header

import (
	"errors"
	"slices"
)

// A token of an address field. Its kind is 'a' for an atom, '"' for a quoted
// string, '[' for a domain literal, the character itself for one of "<>@,;:.",
// and 0 for a character that may not be in an address.
type token struct {
	kind       byte
	start, end int32
}

// isWord reports whether t is a word: an atom or a quoted string (RFC 5322, 3.2.5).
func (t token) isWord() bool { return t.kind == 'a' || t.kind == '"' }

// in returns the text of t. s is the value that t is a token of.
func (t token) in(s string) string { return s[t.start:t.end] }

// width returns the total length of tokens, without the text between them.
func width(ts []token) (n int) {
	for _, t := range ts {
		n += int(t.end - t.start)
	}
	return n
}

// lex appends the tokens of a value to ts. It omits white space and comments.
func lex(s string, ts []token) ([]token, error) {
	for i := 0; i < len(s); {
		t := token{kind: s[i], start: int32(i), end: int32(i + 1)}
		switch s[i] {
		case ' ', '\t', '\r', '\n':
			i++
			continue
		case '(':
			n := Comment(s[i:])
			if n < 0 {
				return ts, errors.New("unclosed comment")
			}
			i += n
			continue
		case '"':
			n := Quoted(s[i:])
			if n < 0 {
				return ts, errors.New("unclosed quoted string")
			}
			t.end = int32(i + n)
		case '<', '>', '@', ',', ';', ':', '.':
		case '[':
			t.kind = 0
			if len(ts) > 0 && ts[len(ts)-1].kind == '@' {
				if n := literalLen(s[i:]); n > 0 {
					t.kind, t.end = '[', int32(i+n)
				}
			}
		default:
			t.kind = 0
			if n := atomLen(s[i:]); n > 0 {
				t.kind, t.end = 'a', int32(i+n)
			}
		}
		if len(ts) == cap(ts) {
			ts = slices.Grow(ts, max(len(ts), 16)) // append would copy a long list more often
		}
		ts = append(ts, t)
		i = int(t.end)
	}
	return ts, nil
}

// literalLen returns the length of the domain literal at the start of s. It
// returns 0 if the literal has no end or another one begins inside it.
func literalLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '[':
			return 0
		case ']':
			return i + 1
		}
	}
	return 0
}

// atomLen returns the length of the atom at the start of s, or 0. It includes all
// octets above 127.
func atomLen(s string) int {
	n := 0
	for n < len(s) && (s[n] >= 0x80 || isAtom(rune(s[n]))) {
		n++
	}
	return n
}

// isAtom reports whether an unquoted word may have c (RFC 5322, 3.2.3; RFC
// 6532, 3.2).
func isAtom(c rune) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '.', '"', 0x7f:
		return false
	}
	return c > ' '
}

// isControl reports whether c is a control character of ASCII or Unicode (C1).
func isControl(c rune) bool { return c < ' ' || c >= 0x7f && c < 0xa0 }
