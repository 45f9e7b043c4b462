package addr

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxPath is the length of the longest path that is accepted, in octets without
// angle brackets. RFC 5321, 4.5.3.1.3 allows 256 with them. The limit of 64
// octets for a local part is not enforced, because VERP and SRS often make
// longer ones.
const MaxPath = 254

// Syntax selects the syntax of paths. The zero value accepts the syntax of RFC
// 5321 and some common deviations: misplaced dots in the local part, white
// space inside the angle brackets, no angle brackets, and a dot at the end of
// the domain, which is removed.
type Syntax struct {
	// SMTPUTF8 allows non-ASCII characters (RFC 6531, 3.3).
	SMTPUTF8 bool
	// DefaultDomain completes an address that has no domain. If it is empty, an
	// address without a domain is an error, except for the recipient
	// <postmaster>.
	DefaultDomain string
}

// ReversePath parses the argument of MAIL FROM: at the start of s. It returns
// the address, which is empty for "<>", and the rest of s: parameters with the
// white space before them, or nothing.
func (x Syntax) ReversePath(s string) (address, rest string, err error) {
	if p, ok := strings.CutPrefix(s, "<"); ok {
		if p, ok = strings.CutPrefix(trimBlanks(p), ">"); ok {
			return "", p, followed(p)
		}
	}
	return x.path(s, false)
}

// ForwardPath parses the argument of RCPT TO: in the same way. "<postmaster>"
// means the postmaster of the server itself and is not changed (RFC 5321,
// 4.1.1.3).
func (x Syntax) ForwardPath(s string) (address, rest string, err error) {
	return x.path(s, true)
}

// ReversePath is Syntax.ReversePath without a default domain.
func ReversePath(s string, smtputf8 bool) (address, rest string, err error) {
	return Syntax{SMTPUTF8: smtputf8}.ReversePath(s)
}

// ForwardPath is Syntax.ForwardPath without a default domain.
func ForwardPath(s string, smtputf8 bool) (address, rest string, err error) {
	return Syntax{SMTPUTF8: smtputf8}.ForwardPath(s)
}

// Mailbox returns an error unless s is a mailbox, "local-part@domain".
func Mailbox(s string, smtputf8 bool) error {
	n, err := localPart(s, smtputf8)
	switch {
	case err != nil:
		return err
	case n == len(s) || s[n] != '@':
		return noDomain(s[:n])
	}
	m, err := domain(s[n+1:], smtputf8)
	switch n += 1 + m; {
	case err != nil:
		return err
	case n < len(s):
		return fmt.Errorf("unexpected %q after the mailbox", s[n:])
	}
	return checkLength(n)
}

// path parses "<" [ A-d-l ":" ] Mailbox ">" (RFC 5321, 4.1.2). It also accepts
// a mailbox without angle brackets, because users and devices send it.
func (x Syntax) path(s string, forward bool) (address, rest string, err error) {
	p, bracket := strings.CutPrefix(s, "<")
	if bracket {
		p = trimBlanks(p)
	}
	if bracket && strings.HasPrefix(p, "@") {
		// A source route is accepted and ignored (RFC 5321, appendix C).
		if p, err = skipRoute(p, x.SMTPUTF8); err != nil {
			return "", "", err
		}
	}
	address, rest, err = x.address(p, forward)
	if err != nil {
		return "", "", err
	}
	if bracket {
		var closed bool
		if rest, closed = strings.CutPrefix(trimBlanks(rest), ">"); !closed {
			return "", "", errors.New("no > at the end of the path")
		}
	}
	return address, rest, followed(rest)
}

// address parses the mailbox at the start of p, or a local part without a
// domain.
func (x Syntax) address(p string, forward bool) (address, rest string, err error) {
	n, err := localPart(p, x.SMTPUTF8)
	switch {
	case err != nil:
		return "", "", err
	case n < len(p) && p[n] == '@':
		n, dot, err := mailbox(p, n, x.SMTPUTF8)
		if err == nil {
			err = checkLength(n)
		}
		return p[:n], p[n+dot:], err
	case forward && Lower(p[:n]) == "postmaster":
		return p[:n], p[n:], nil
	case x.DefaultDomain == "":
		return "", "", noDomain(p[:n])
	}
	address = p[:n] + "@" + x.DefaultDomain
	return address, p[n:], checkLength(len(address))
}

func followed(rest string) error {
	if rest != "" && !isBlank(rest[0]) {
		return fmt.Errorf("no space before %q", clip(rest))
	}
	return nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func trimBlanks(s string) string { return strings.TrimLeft(s, " \t") }

func skipRoute(p string, smtputf8 bool) (string, error) {
	for {
		if !strings.HasPrefix(p, "@") {
			return "", errors.New("source route is malformed")
		}
		n, err := domain(p[1:], smtputf8)
		if err != nil {
			return "", err
		}
		p = p[1+n:]
		switch {
		case strings.HasPrefix(p, ":"):
			return p[1:], nil
		case strings.HasPrefix(p, ","):
			p = p[1:]
		default:
			return "", errors.New("source route has no : at its end")
		}
	}
}

// mailbox returns the length of the mailbox at the start of p, and the length
// of the dot after its domain or 0. local is the length of the local part.
func mailbox(p string, local int, smtputf8 bool) (n, dot int, err error) {
	d := p[local+1:]
	end := strings.IndexAny(d, "> \t")
	if end < 0 {
		end = len(d)
	}
	dot = lastDot(d[:end], smtputf8)
	end -= dot
	m, err := domain(d[:end], smtputf8)
	if err != nil {
		return 0, 0, err
	}
	if m < end {
		dot = 0
	}
	return local + 1 + m, dot, nil
}

// lastDot returns the length of the dot at the end of a domain, or 0 if there
// is no dot or more than one.
func lastDot(d string, smtputf8 bool) int {
	n := endDot(d, smtputf8)
	if n == len(d) || endDot(d[:len(d)-n], smtputf8) != 0 {
		return 0
	}
	return n
}

// endDot returns the length of the dot that d ends with, or 0.
func endDot(d string, smtputf8 bool) int {
	for _, dot := range [...]string{".", "\u3002", "\uff0e", "\uff61"} { // see dots
		if strings.HasSuffix(d, dot) && (dot == "." || smtputf8) {
			return len(dot)
		}
	}
	return 0
}

func checkLength(n int) error {
	if n > MaxPath {
		return fmt.Errorf("path of %d octets is longer than %d", n, MaxPath)
	}
	return nil
}

func noDomain(local string) error { return fmt.Errorf("no @ and domain after %q", clip(local)) }

// localPart returns the length of the local part at the start of p. It accepts
// dots anywhere: RFC 5321, 4.1.2 requires an atom on both sides of a dot, but
// some hosts have mailboxes with other names, and only they may interpret them
// (2.3.11).
func localPart(p string, smtputf8 bool) (int, error) {
	if strings.HasPrefix(p, `"`) {
		return quotedString(p, smtputf8)
	}
	n := 0
	for n < len(p) {
		w, err := char(p[n:], smtputf8)
		if err != nil {
			return 0, err
		}
		if w == 1 && !atext(p[n]) && p[n] != '.' {
			break
		}
		n += w
	}
	if n == 0 {
		return 0, errors.New("local part is empty")
	}
	return n, nil
}

// quotedString returns the length of the Quoted-string at the start of p.
func quotedString(p string, smtputf8 bool) (int, error) {
	for n := 1; n < len(p); {
		c := p[n]
		switch {
		case c == '"':
			return n + 1, nil
		case c == '\\':
			if n+1 == len(p) || p[n+1] < ' ' || p[n+1] > '~' {
				return 0, errors.New(`bad character after \ in quoted local part`)
			}
			n += 2
		case c < ' ' || c == 0x7f:
			return 0, errors.New("control character in quoted local part")
		default:
			w, err := char(p[n:], smtputf8)
			if err != nil {
				return 0, err
			}
			n += w
		}
	}
	return 0, errors.New("quoted local part has no end")
}

// char returns the width of the character at the start of s.
func char(s string, smtputf8 bool) (int, error) {
	if s[0] < utf8.RuneSelf {
		return 1, nil
	}
	if !smtputf8 {
		return 0, ErrNonASCII
	}
	r, w := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && w == 1 {
		return 0, errors.New("address is not UTF-8")
	}
	if r < 0xa0 { // the C1 controls
		return 0, errors.New("control character in address")
	}
	return w, nil
}

// ErrNonASCII is the error for an address that needs SMTPUTF8 in a transaction
// without it.
var ErrNonASCII = errors.New("address has non-ASCII characters without SMTPUTF8")

func atext(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// domain returns the length of the Domain or address-literal at the start of p.
// It accepts what Domain accepts, but without a dot at the end.
func domain(p string, smtputf8 bool) (int, error) {
	if strings.HasPrefix(p, "[") {
		end := strings.IndexByte(p, ']')
		if end < 0 {
			return 0, errors.New("address literal has no ]")
		}
		_, err := ParseLiteral(p[:end+1])
		return end + 1, err
	}
	n := 0
	for n < len(p) {
		w, err := char(p[n:], smtputf8)
		if err != nil {
			return 0, err
		}
		if w == 1 && !ldh(p[n]) && p[n] != '.' {
			break
		}
		n += w
	}
	c, err := Domain(p[:n])
	if err == nil && p[n-1] == '.' {
		err = fmt.Errorf("domain %q: %w", clip(c), errEmpty)
	}
	return n, err
}

// clip shortens input from a client for an error text.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}
