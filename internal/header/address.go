package header

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// An Address is an addr-spec in an address field.
type Address struct {
	// Addr is the address in the form of SMTP commands: without comments and
	// white space, with quotes around the local part only if necessary, and
	// without a dot at the end of the domain.
	Addr string
	// Start and End are its position in the value: from the first octet of the
	// local part to after the last octet of the domain.
	Start, End int
	// InName is true if the address is not the address of the mailbox. It is
	// part of a display name without quotes, as in "a@example.org
	// <b@example.org>", or of a mailbox that is malformed. Some programs use it
	// as the address of the mailbox.
	InName bool
}

// Addresses parses the value of an address field (RFC 5322, 3.4 and 4.4): a
// list of mailboxes and groups. Line ends count as white space.
//
// It accepts common deviations: display names with characters that need quotes
// ("Doe, John <j@example.org>"), a display name before an address without angle
// brackets, and dots anywhere in a local part. A mailbox without an address, as
// in "Postmaster", "<>" and "Undisclosed recipients:;", adds nothing to the
// list.
//
// Addresses returns an error if a mailbox is malformed, or if programs may find
// different addresses in it. The list then still contains the addresses of the
// other mailboxes, and possible addresses of the malformed one with InName set.
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

// Recipients returns the addresses in an address field of a message that is to
// be sent. Unlike Addresses, it returns an error also for a mailbox without an
// address, and for a display name that contains an address.
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
	err   error // about the first malformed mailbox
	odd   error // about the first mailbox that Recipients refuses
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
		case t.kind == ':': // the name of a group ends
			p.inName(ts[start:i])
			start = i + 1
		}
	}
	p.mailbox(ts[start:])
}

// mailbox parses "name <address>" or "address".
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
		p.fail(ts, `an address before "<>"`)
	case p.odd == nil:
		p.odd = p.error(ts, "no address")
	}
	if index(after, '@') >= 0 || index(after, '<') >= 0 {
		p.inName(after)
		p.fail(ts, "an address after the one in angle brackets")
	}
}

// plain parses a mailbox without angle brackets. If it has no @, it is a name.
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

// angle parses the content of angle brackets: an address, which may follow a
// source route (RFC 5322, 4.4). The source route is ignored.
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

// inName adds the addresses in a display name or in a malformed mailbox.
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

// index returns the index of the first token of a kind, or -1.
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

// around returns the possible local part and domain around the @ at ts[at]:
// words with dots between them. A local part may contain any number of dots.
// The domain may also be a literal.
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

// add adds the address that consists of ts, with the @ at ts[at]. It reports
// whether this is an address.
func (p *addressParser) add(ts []token, at int, inName bool) bool {
	domain := p.domain(ts[at+1:])
	local, ok := p.local(ts[:at])
	// RFC 2047, 5: an encoded-word is not part of an address; but programs may
	// decode it before they look for one.
	if !ok || domain == "" || strings.HasPrefix(local, "=?") {
		return false
	}
	end := ts[len(ts)-1]
	if end.kind == '.' {
		end = ts[len(ts)-2]
	}
	address := addrSpec(p.s[ts[0].start:end.end], local, domain)
	if !utf8.ValidString(address) || strings.ContainsFunc(address, isControl) {
		return false
	}
	if inName && p.odd == nil {
		p.odd = p.error(ts, "an address in a display name")
	}
	if len(p.found) == cap(p.found) {
		p.found = slices.Grow(p.found, max(len(p.found), 1)) // as in lex
	}
	p.found = append(p.found, Address{address, int(ts[0].start), int(end.end), inName})
	return true
}

// addrSpec returns local@domain. It needs no memory if the address is written so,
// which is the common case.
func addrSpec(written, local, domain string) string {
	n := len(local)
	if len(written) == n+1+len(domain) && written[:n] == local && written[n] == '@' && written[n+1:] == domain {
		return written
	}
	return local + "@" + domain
}

// domain returns a domain without comments and white space, or "" if ts is not
// a domain.
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

// literal returns a domain literal without white space (RFC 5322, 3.4.1), or ""
// if it contains characters that need a backslash.
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

// local returns a local part without comments, white space and unnecessary
// quotes. ok is false if ts is not a local part.
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

// quoteLocal adds quotes to a local part if it needs them. Dots anywhere need
// no quotes, because the meaning is clear without them.
func quoteLocal(s string) string {
	if strings.Trim(s, ".") != "" && !strings.ContainsFunc(s, func(c rune) bool { return !isAtom(c) && c != '.' }) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
