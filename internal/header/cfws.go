package header

import "strings"

// Comment returns the length of the comment, "(...)", at the start of s. It
// returns 0 if s does not begin with a comment, and -1 if the comment has no
// end. Comments can be nested. A backslash quotes the next character (RFC 5322,
// 3.2.2).
func Comment(s string) int {
	if s == "" || s[0] != '(' {
		return 0
	}
	depth := 1
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// Quoted returns the length of the quoted string at the start of s (RFC 5322,
// 3.2.4). It returns 0 if s does not begin with one, and -1 if it has no end.
func Quoted(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// Unquote returns the content of a quoted string. It removes the quotes, line
// ends, and the backslashes that quote characters.
func Unquote(quoted string) string {
	s := strings.TrimSuffix(strings.TrimPrefix(quoted, `"`), `"`)
	if strings.ContainsAny(s, "\\\r\n") {
		s = unescape(Unfold(s))
	}
	return s
}

// unescape removes the backslashes that quote characters.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}
