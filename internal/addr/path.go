package addr

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// MaxPath is the longest path that is accepted, in octets without its angle
// brackets. RFC 5321, 4.5.3.1.3 has 256 with them. Its 64 octets for a local
// part are not held to: VERP and SRS make longer ones every day, and they
// count here only as part of the path.
const MaxPath = 254

// ReversePath reads the argument of MAIL FROM: at the start of s, and returns
// the address (empty for "<>") and what follows it: parameters with the space
// before them, or nothing. Non-ASCII characters are allowed where smtputf8 is
// true (RFC 6531, 3.3).
func ReversePath(s string, smtputf8 bool) (address, rest string, err error) {
	if strings.HasPrefix(s, "<>") {
		return "", s[2:], followed(s[2:])
	}
	return path(s, smtputf8, false)
}

// ForwardPath reads the argument of RCPT TO: likewise. "<postmaster>" needs
// no domain (RFC 5321, 4.1.1.3).
func ForwardPath(s string, smtputf8 bool) (address, rest string, err error) {
	return path(s, smtputf8, true)
}

// Mailbox checks that all of s is a mailbox, "local-part@domain".
func Mailbox(s string, smtputf8 bool) error {
	n, err := mailbox(s, smtputf8, false)
	if err == nil && n < len(s) {
		err = fmt.Errorf("unexpected %q after the mailbox", s[n:])
	}
	return err
}

// path reads "<" [ A-d-l ":" ] Mailbox ">" (RFC 5321, 4.1.2). A mailbox
// without angle brackets is taken too, as people and devices write it.
func path(s string, smtputf8, forward bool) (address, rest string, err error) {
	p, bracket := strings.CutPrefix(s, "<")
	if bracket && strings.HasPrefix(p, "@") {
		// A source route is accepted and ignored (RFC 5321, appendix C).
		if p, err = skipRoute(p, smtputf8); err != nil {
			return "", "", err
		}
	}
	n, err := mailbox(p, smtputf8, forward)
	if err != nil {
		return "", "", err
	}
	address, rest = p[:n], p[n:]
	if bracket {
		var closed bool
		if rest, closed = strings.CutPrefix(rest, ">"); !closed {
			return "", "", errors.New("no > at the end of the path")
		}
	}
	return address, rest, followed(rest)
}

func followed(rest string) error {
	if rest != "" && rest[0] != ' ' {
		return fmt.Errorf("no space before %q", clip(rest))
	}
	return nil
}

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

// mailbox returns the length of the mailbox at the start of p.
func mailbox(p string, smtputf8, postmaster bool) (int, error) {
	n, err := localPart(p, smtputf8)
	if err != nil {
		return 0, err
	}
	if n == len(p) || p[n] != '@' {
		if postmaster && strings.EqualFold(p[:n], "postmaster") {
			return n, nil
		}
		return 0, fmt.Errorf("no @ and domain after %q", clip(p[:n]))
	}
	m, err := domain(p[n+1:], smtputf8)
	if err != nil {
		return 0, err
	}
	if n += 1 + m; n > MaxPath {
		return 0, fmt.Errorf("path of %d octets is longer than %d", n, MaxPath)
	}
	return n, nil
}

func localPart(p string, smtputf8 bool) (int, error) {
	if strings.HasPrefix(p, `"`) {
		return quotedString(p, smtputf8)
	}
	n := 0
	for n < len(p) {
		c := p[n]
		if c == '.' {
			if n == 0 || p[n-1] == '.' {
				break
			}
			n++
			continue
		}
		w, err := char(p[n:], smtputf8)
		if err != nil {
			return 0, err
		}
		if w == 1 && !atext(c) {
			break
		}
		n += w
	}
	if n == 0 || p[n-1] == '.' {
		return 0, errors.New("local part is empty or has an empty atom")
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

// char is the width of the character at the start of s.
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

// ErrNonASCII is the error for an address that needs SMTPUTF8 and came
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
func domain(p string, smtputf8 bool) (int, error) {
	if strings.HasPrefix(p, "[") {
		end := strings.IndexByte(p, ']')
		if end < 0 {
			return 0, errors.New("address literal has no ]")
		}
		return end + 1, Literal(p[:end+1])
	}
	n, label, foreign := 0, 0, false // label: where the current one begins
	for n < len(p) {
		c := p[n]
		if c == '.' {
			if err := checkLabel(p[label:n]); err != nil {
				return 0, err
			}
			n++
			label = n
			continue
		}
		w, err := char(p[n:], smtputf8)
		if err != nil {
			return 0, err
		}
		if w == 1 && !ldh(c) {
			break
		}
		foreign = foreign || w > 1
		n += w
	}
	if err := checkLabel(p[label:n]); err != nil {
		return 0, err
	}
	if n > 255 { // RFC 5321, 4.5.3.1.2
		return 0, fmt.Errorf("domain %q...: %w", clip(p), errLong)
	}
	if foreign {
		if _, err := Domain(p[:n]); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func checkLabel(l string) error {
	switch {
	case l == "":
		return errors.New("domain is empty or has an empty label")
	case l[0] == '-' || l[len(l)-1] == '-':
		return fmt.Errorf("domain label %q begins or ends with a hyphen", clip(l))
	case len(l) > 63 && isASCII(l): // RFC 1035, 2.3.4; U-labels are counted as A-labels
		return fmt.Errorf("domain label %q... is longer than 63 octets", clip(l))
	}
	return nil
}

// ldh allows the underscore too: it stands in names that send mail.
func ldh(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Literal checks an address literal, "[192.0.2.1]" or "[IPv6:2001:db8::1]"
// (RFC 5321, 4.1.3).
func Literal(s string) error {
	inner := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	text, v6 := inner, false
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		text, v6 = inner[5:], true
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || len(s) != len(inner)+2 || ip.Is4() == v6 || ip.Zone() != "" {
		return fmt.Errorf("%q is no address literal", clip(s))
	}
	return nil
}

// clip shortens what a client sent for an error text.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}
