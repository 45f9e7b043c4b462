package rewrite

import (
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// rewriter is the new form of an address, and whether it has one.
type rewriter func(address string) (string, bool)

// fields rewrites the addresses in the header fields of those names.
func (f rewriter) fields(h *smtpserver.Header, names []string) error {
	return h.Replace(func(field smtpserver.Field) (string, bool) {
		for _, n := range names {
			if field.Is(n) {
				name, value, _ := strings.Cut(string(field), ":")
				if v, changed := f.addresses(value); changed {
					return name + ":" + v, true
				}
			}
		}
		return "", false
	})
}

// addresses rewrites the addr-specs in a list of addresses (RFC 5322, 3.4).
// Everything else, display names and comments with addresses in them
// included, stays as it is.
func (f rewriter) addresses(s string) (string, bool) {
	var out strings.Builder
	copied := 0 // s[:copied] is in out
	for i := 0; i < len(s); {
		start := i
		switch {
		case s[i] == '(':
			i = skipComment(s, i)
			continue
		case s[i] == '"':
			i = skipQuoted(s, i)
		case isAtom(s[i]):
			for i < len(s) && isAtom(s[i]) {
				i++
			}
		default:
			i++
			continue
		}
		// What is not followed by @ and a domain is a word of a name; and an
		// encoded-word is one even where somebody left an @ in it.
		local := s[start:i]
		domain, end := domainAfter(s, i)
		if domain == "" || strings.HasPrefix(local, "=?") {
			continue
		}
		i = end
		if to, ok := f(local + "@" + domain); ok && to != local+"@"+domain {
			out.WriteString(s[copied:start])
			out.WriteString(to)
			copied = end
		}
	}
	if copied == 0 {
		return s, false
	}
	out.WriteString(s[copied:])
	return out.String(), true
}

// skipComment is the index after the comment at s[i]; comments nest.
func skipComment(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
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
	return len(s)
}

// skipQuoted is the index after the quoted string at s[i].
func skipQuoted(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// maxDomain is the longest domain that is looked at, in UTF-8: 255 octets
// (RFC 5321, 4.5.3.1.2) in A-labels.
const maxDomain = 4 * 255

// domainAfter is the domain in "@domain" at s[i], white space around the @
// allowed (RFC 5322, 4.4), and the index after it; "" where there is none.
func domainAfter(s string, i int) (domain string, end int) {
	i = skipBlank(s, i)
	if i >= len(s) || s[i] != '@' {
		return "", i
	}
	i = skipBlank(s, i+1)
	j := i
	if j < len(s) && s[j] == '[' {
		n := strings.IndexByte(s[j:min(len(s), j+maxDomain)], ']')
		if n < 0 {
			return "", i
		}
		return s[i : j+n+1], j + n + 1
	}
	for j < len(s) && isDomain(s[j]) {
		j++
	}
	end = j
	for j > i && s[j-1] == '.' {
		j--
	}
	if j-i > maxDomain {
		return "", end
	}
	return s[i:j], j
}

func skipBlank(s string, i int) int {
	for i < len(s) && strings.IndexByte(" \t\r\n", s[i]) >= 0 {
		i++
	}
	return i
}

func isAtom(c byte) bool {
	return isDomain(c) || strings.IndexByte("!#$%&'*+/=?^`{|}~", c) >= 0
}

func isDomain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_' || c >= 0x80
}
