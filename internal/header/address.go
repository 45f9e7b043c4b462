package header

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// An Address is an addr-spec in an address field.
type Address struct {
	// Addr is the address as it is written on a command line: without comments
	// and white space, the local part in quotes only if it needs them, the
	// domain without a dot at its end.
	Addr string
	// Start and End tell where it is in the value: from the first octet of the
	// local part to the last of the domain.
	Start, End int
	// InName says that the address is not the mailbox, but a part of its
	// display name without quotes, as in "a@example.org <b@example.org>", or of
	// a mailbox that cannot be read. Some programs take it for the mailbox.
	InName bool
}

// Addresses reads the value of an address field (RFC 5322, 3.4 and 4.4), which
// is a list of mailboxes and groups. Line ends in it are white space.
//
// It also reads what is common though not correct: display names with
// characters that need quotes ("Doe, John <j@example.org>"), a display name
// before an address without angle brackets, and dots anywhere in a local part.
// A mailbox without an address, as in "Postmaster", "<>" and "Undisclosed
// recipients:;", adds nothing to the list.
//
// The error says that a mailbox cannot be read, or that programs may read
// different addresses in it. The list has the other mailboxes even then, and
// what looks like an address in this one as InName.
func Addresses(value string) ([]Address, error) {
	var space [24]token
	tokens, err := lex(value, space[:0])
	p := addressParser{s: value}
	p.list(tokens)
	if err != nil {
		return p.found, err
	}
	return p.found, p.err
}

// Recipients are the addresses of the mailboxes in the value of an address field
// from which a message is sent. Unlike Addresses, it returns an error for a
// mailbox without an address, and for one whose display name has one.
func Recipients(value string) ([]string, error) {
	tokens, err := lex(value, nil)
	p := addressParser{s: value}
	p.list(tokens)
	if err == nil {
		err = p.err
	}
	if err == nil {
		err = p.odd
	}
	if err != nil {
		return nil, err
	}
	var all []string
	for _, a := range p.found {
		all = append(all, a.Addr)
	}
	return all, nil
}

// An addressParser collects the addresses of a value.
type addressParser struct {
	s     string
	found []Address
	err   error // what is wrong with the first mailbox that cannot be read
	odd   error // what is wrong with the first one that is not used as it is
}

func (p *addressParser) fail(ts []token, problem string) {
	if p.err == nil {
		p.err = p.error(ts, problem)
	}
}

func (p *addressParser) error(ts []token, problem string) error {
	return fmt.Errorf("%.80q: %s", p.s[ts[0].start:ts[len(ts)-1].end], problem)
}

// list splits tokens into mailboxes, at commas and at the ends of groups.
func (p *addressParser) list(ts []token) {
	start, angle := 0, false
	for i, t := range ts {
		switch {
		case t.kind == '<':
			angle = true
		case t.kind == '>':
			angle = false
		case angle:
		case t.kind == ',', t.kind == ';':
			p.mailbox(ts[start:i])
			start = i + 1
		case t.kind == ':': // what came before is a group's name
			p.inName(ts[start:i])
			start = i + 1
		}
	}
	p.mailbox(ts[start:])
}

// mailbox reads "name <address>" or "address".
func (p *addressParser) mailbox(ts []token) {
	open := index(ts, '<')
	if open < 0 {
		p.plain(ts)
		return
	}
	p.inName(ts[:open])
	named := index(ts[:open], '@') >= 0
	n := index(ts[open+1:], '>')
	if n < 0 {
		p.inName(ts[open+1:])
		p.fail(ts, `"<" without ">"`)
		return
	}
	inner, after := ts[open+1:open+1+n], ts[open+n+2:]
	switch {
	case len(inner) > 0:
		p.angle(inner)
	case named:
		p.fail(ts, `an address beside "<>"`)
	case p.odd == nil:
		p.odd = p.error(ts, "no address")
	}
	if index(after, '@') >= 0 || index(after, '<') >= 0 {
		p.inName(after)
		p.fail(ts, "an address after the one in angle brackets")
	}
}

// plain reads a mailbox without angle brackets. What has no @ is a name.
func (p *addressParser) plain(ts []token) {
	at := index(ts, '@')
	if at < 0 {
		if len(ts) > 0 && p.odd == nil {
			p.odd = p.error(ts, "no address")
		}
		return
	}
	start, end := around(ts, at)
	if !only(ts[:start], `a".`) || end < len(ts) || !p.add(ts[start:end], at-start, false) {
		p.inName(ts)
		p.fail(ts, "not an address")
	}
}

// angle reads what is in angle brackets: an address, after a source route
// perhaps (RFC 5322, 4.4), which is ignored.
func (p *addressParser) angle(ts []token) {
	whole := ts
	if n := index(ts, ':'); n >= 0 && (ts[0].kind == '@' || ts[0].kind == ',') && only(ts[:n], "@,a.[") {
		ts = ts[n+1:]
	}
	at := index(ts, '@')
	if at >= 0 {
		start, end := around(ts, at)
		if start == 0 && end == len(ts) && p.add(ts, at, false) {
			return
		}
	}
	p.inName(whole)
	p.fail(whole, "not an address")
}

// inName adds the addresses in a display name or in what cannot be read.
func (p *addressParser) inName(ts []token) {
	for from := 0; ; {
		at := index(ts[from:], '@')
		if at < 0 {
			return
		}
		start, end := around(ts[from:], at)
		p.add(ts[from+start:from+end], at-start, true)
		from += max(at+1, end)
	}
}

// index is that of the first token of a kind; -1 if there is none.
func index(ts []token, kind byte) int {
	for i, t := range ts {
		if t.kind == kind {
			return i
		}
	}
	return -1
}

// only reports whether all tokens are of these kinds.
func only(ts []token, kinds string) bool {
	for _, t := range ts {
		if strings.IndexByte(kinds, t.kind) < 0 {
			return false
		}
	}
	return true
}

// around finds what may be the local part and the domain around the @ at ts[at]:
// words with dots between them, of which a local part may have any number, and
// for the domain also a literal.
func around(ts []token, at int) (start, end int) {
	start, end = at, at+1
	for start > 0 && (ts[start-1].kind == '.' || ts[start-1].isWord() && (start == at || ts[start].kind == '.')) {
		start--
	}
	if end < len(ts) && ts[end].kind == '[' {
		return start, end + 1
	}
	for end < len(ts) && (ts[end].kind == 'a' && ts[end-1].kind != 'a' || ts[end].kind == '.' && ts[end-1].kind == 'a') {
		end++
	}
	return start, end
}

// add adds the address that is made of tokens, with the @ at ts[at], and
// reports whether it is one.
func (p *addressParser) add(ts []token, at int, inName bool) bool {
	domain := p.domain(ts[at+1:])
	local, ok := p.local(ts[:at])
	// RFC 2047, 5: an encoded-word is not part of an address; but programs may
	// decode it before they look for one.
	if !ok || domain == "" || strings.HasPrefix(local, "=?") {
		return false
	}
	address := local + "@" + domain
	if !utf8.ValidString(address) || strings.ContainsFunc(address, isControl) {
		return false
	}
	end := ts[len(ts)-1]
	if end.kind == '.' {
		end = ts[len(ts)-2]
	}
	if inName && p.odd == nil {
		p.odd = p.error(ts, "an address in a display name")
	}
	p.found = append(p.found, Address{address, int(ts[0].start), int(end.end), inName})
	return true
}

// domain is a domain without comments and white space; "" if it is none.
func (p *addressParser) domain(ts []token) string {
	if len(ts) > 0 && ts[len(ts)-1].kind == '.' {
		ts = ts[:len(ts)-1]
	}
	switch len(ts) {
	case 0:
		return ""
	case 1:
		if ts[0].kind == '[' {
			return literal(ts[0].in(p.s))
		}
		return ts[0].in(p.s)
	}
	if s := p.s[ts[0].start:ts[len(ts)-1].end]; len(s) == width(ts) {
		return s
	}
	var b strings.Builder
	for _, t := range ts {
		b.WriteString(t.in(p.s))
	}
	return b.String()
}

// literal is a domain literal without white space (RFC 5322, 3.4.1); "" if it
// has characters that need a backslash.
func literal(s string) string {
	s = strings.Map(func(c rune) rune {
		if strings.ContainsRune(" \t\r\n", c) {
			return -1
		}
		return c
	}, s)
	if strings.ContainsFunc(s[1:len(s)-1], func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`[]\`, c) }) {
		return ""
	}
	return s
}

// local is a local part without comments and white space. Quotes that change
// nothing are left out. ok is false if it is none.
func (p *addressParser) local(ts []token) (local string, ok bool) {
	if len(ts) == 0 {
		return "", false
	}
	quoted, words := false, 0
	for _, t := range ts {
		quoted = quoted || t.kind == '"'
		if t.isWord() {
			words++
		}
	}
	if s := p.s[ts[0].start:ts[len(ts)-1].end]; !quoted && len(s) == width(ts) {
		return s, words > 0
	}
	var b strings.Builder
	for _, t := range ts {
		s := t.in(p.s)
		if t.kind == '"' {
			s = Unquote(s)
		}
		b.WriteString(s)
	}
	return quoteLocal(b.String()), words > 0
}

// quoteLocal puts a local part in quotes if it needs them. Dots need none
// anywhere, as no other local part is meant with them.
func quoteLocal(s string) string {
	if strings.Trim(s, ".") != "" && !strings.ContainsFunc(s, func(c rune) bool { return !isAtom(c) && c != '.' }) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
