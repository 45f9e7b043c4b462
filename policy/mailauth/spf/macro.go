package spf

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A macro is a parsed macro-string (RFC 7208, 7.1).
type macro []macroPart

type macroPart struct {
	literal string // if letter is 0
	letter  byte   // in lower case
	escape  bool   // the letter was in upper case: URL-escape the value
	keep    int    // number of labels from the right; 0 means all
	reverse bool
	delims  string
}

// A macroPlace is where a macro-string occurs. It decides which letters are
// valid.
type macroPlace bool

const (
	inDomain      macroPlace = false
	inExplanation macroPlace = true // also c, r and t
)

// parseMacro parses a macro-string. Explanations may contain spaces.
func parseMacro(s string, place macroPlace) (macro, error) {
	if s == "" {
		return nil, nil
	}
	m := make(macro, 0, 2*strings.Count(s, "%")+1) // a literal and a macro for each
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			if err := checkLiteral(s[:i], place); err != nil {
				return nil, err
			}
			m = append(m, macroPart{literal: s[:i]})
			s = s[i:]
			continue
		}
		part, n, err := parseExpand(s, place)
		if err != nil {
			return nil, err
		}
		m = append(m, part)
		s = s[n:]
	}
	return m, nil
}

func checkLiteral(s string, place macroPlace) error {
	for i := range len(s) {
		if c := s[i]; (c <= ' ' || c > '~') && (c != ' ' || place == inDomain) {
			return fmt.Errorf("octet %#02x is not allowed", c)
		}
	}
	return nil
}

// parseExpand parses the macro-expand at the start of s, which begins with "%".
// n is its length.
func parseExpand(s string, place macroPlace) (p macroPart, n int, err error) {
	if len(s) < 2 {
		return p, 0, errors.New(`"%" at the end`)
	}
	switch s[1] {
	case '%':
		return macroPart{literal: "%"}, 2, nil
	case '_':
		return macroPart{literal: " "}, 2, nil
	case '-':
		return macroPart{literal: "%20"}, 2, nil
	case '{':
	default:
		return p, 0, fmt.Errorf("%q is not a macro", s[:2])
	}
	end := strings.IndexByte(s, '}')
	if end < 3 {
		return p, 0, errors.New(`"%{" without a letter and "}"`)
	}
	p, err = parseBraces(s[2:end], place)
	if err != nil {
		err = fmt.Errorf("macro %q: %w", s[:end+1], err)
	}
	return p, end + 1, err
}

// parseBraces parses the text between the braces: letter, transformers,
// delimiters.
func parseBraces(s string, place macroPlace) (p macroPart, err error) {
	letters := "slodiphv"
	if place == inExplanation {
		letters = "slodiphvcrt"
	}
	p.letter = s[0] | 0x20
	if !isAlpha(s[0]) || strings.IndexByte(letters, p.letter) < 0 {
		return p, errors.New("unknown macro letter")
	}
	p.escape = s[0] != p.letter
	rest := s[1:]
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	rest = rest[len(digits):]
	if digits != "" {
		p.keep, err = strconv.Atoi(digits)
		if err != nil {
			p.keep = 1 << 16 // more than any name has labels
		} else if p.keep == 0 {
			return p, errors.New("the number of labels is 0")
		}
	}
	if rest != "" && rest[0]|0x20 == 'r' {
		p.reverse, rest = true, rest[1:]
	}
	if strings.Trim(rest, ".-+,/_=") != "" {
		return p, fmt.Errorf("invalid delimiters %q", rest)
	}
	p.delims = rest
	return p, nil
}

// parseDomainSpec parses a domain-spec: a macro-string that ends in a top-level
// label or in a macro (RFC 7208, 7.1, domain-end).
func parseDomainSpec(s string) (macro, error) {
	if s == "" {
		return nil, errors.New("the domain is empty")
	}
	m, err := parseMacro(s, inDomain)
	if err != nil {
		return nil, err
	}
	if s[len(s)-1] == '}' || len(s) >= 2 && s[len(s)-2] == '%' {
		return m, nil // the end is a macro
	}
	tail := strings.TrimSuffix(m[len(m)-1].literal, ".")
	dot := strings.LastIndexByte(tail, '.')
	if dot < 0 || !isTopLabel(tail[dot+1:]) {
		return nil, fmt.Errorf("%q does not end in a top-level domain", s)
	}
	return m, nil
}

// isTopLabel reports whether s is a toplabel (RFC 7208, 7.1): letters, digits and
// inner hyphens, but not only digits.
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlpha(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return !allDigits(s)
}

// expand returns the value of the macro (RFC 7208, 7.2 and 7.3).
func (m macro) expand(value func(letter byte) string) string {
	if len(m) == 1 && m[0].letter == 0 {
		return m[0].literal
	}
	var b strings.Builder
	for _, p := range m {
		if p.letter == 0 {
			b.WriteString(p.literal)
		} else {
			b.WriteString(p.transform(value(p.letter)))
		}
	}
	return b.String()
}

func (p *macroPart) transform(v string) string {
	if p.keep > 0 || p.reverse || p.delims != "" {
		delims := p.delims
		if delims == "" {
			delims = "."
		}
		labels := splitAny(v, delims)
		if p.reverse {
			slices.Reverse(labels)
		}
		if p.keep > 0 && p.keep < len(labels) {
			labels = labels[len(labels)-p.keep:]
		}
		v = strings.Join(labels, ".")
	}
	if p.escape {
		v = strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
	}
	return v
}

// splitAny splits s at each octet of delims. It keeps empty labels.
func splitAny(s, delims string) []string {
	var labels []string
	for {
		i := strings.IndexAny(s, delims)
		if i < 0 {
			return append(labels, s)
		}
		labels = append(labels, s[:i])
		s = s[i+1:]
	}
}

// cutDomain removes labels from the left until the name has at most 253 octets,
// the limit of DNS (RFC 7208, 7.3).
func cutDomain(name string) string {
	name = strings.TrimSuffix(name, ".")
	for len(name) > 253 {
		_, after, found := strings.Cut(name, ".")
		if !found {
			return name
		}
		name = after
	}
	return name
}
