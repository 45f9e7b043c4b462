package spf

import (
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
)

// maxExplanation is the maximum length of an explanation. A reply line has at
// most 512 octets (RFC 5321, 4.5.3.1.5).
const maxExplanation = 400

// explain returns the domain's explanation for a Fail (RFC 7208, 6.2). After any
// error it returns "".
func (e *evaluation) explain(m *modifier, domain string) string {
	if m == nil {
		return ""
	}
	txts, err := lookup.TXT(e.ctx, e.resolver, e.expand(m.domain, domain))
	if err != nil || len(txts) != 1 {
		return ""
	}
	text, err := parseMacro(txts[0], inExplanation)
	if err != nil {
		return ""
	}
	s := text.expand(func(letter byte) string { return e.macroValue(letter, domain) })
	if len(s) > maxExplanation {
		s = s[:maxExplanation]
	}
	// A macro may expand to characters that the text itself must not have.
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// macroValue returns the value of a macro letter (RFC 7208, 7.2). domain is the
// current domain.
func (e *evaluation) macroValue(letter byte, domain string) string {
	switch letter {
	case 's':
		return e.local + "@" + e.domain
	case 'l':
		return e.local
	case 'o':
		return e.domain
	case 'd':
		return domain
	case 'i':
		return dotted(e)
	case 'p':
		return e.clientName(domain)
	case 'v':
		if e.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'h':
		return e.helo
	case 'c':
		return e.ip.String()
	case 'r':
		if e.receiver == "" {
			return "unknown"
		}
		return e.receiver
	default: // 't': parseMacro accepts no other letter
		return strconv.FormatInt(time.Now().Unix(), 10)
	}
}

// dotted returns the client's address in dotted form; for IPv6, as nibbles. The
// nibbles are in upper case, as in the RFC's test suite. DNS ignores the case.
func dotted(e *evaluation) string {
	if e.ip.Is4() {
		return e.ip.String()
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, 63)
	for i, c := range e.ip.As16() {
		if i > 0 {
			b = append(b, '.')
		}
		b = append(b, hex[c>>4], '.', hex[c&15])
	}
	return string(b)
}

// clientName returns the value of %{p}: a validated name of the client (RFC 7208,
// 7.3). It prefers the domain itself, then a subdomain, then any other name.
func (e *evaluation) clientName(domain string) string {
	names := e.clientNames()
	best := "unknown"
	rank := 0
	for _, name := range names {
		r := 1
		switch {
		case addr.Lower(name) == addr.Lower(domain):
			r = 3
		case isBelow(name, domain):
			r = 2
		}
		if r > rank {
			best, rank = name, r
		}
	}
	return best
}
