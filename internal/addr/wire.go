package addr

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxWire is the length of the longest address in a command, in octets. RFC
// 5321, 4.5.3.1.3 allows 256, but an agent may make an address longer than it
// was when it was received.
const maxWire = 1000

// NotOnWire returns the reason why an address must not be sent between the angle
// brackets of a command, or "" if it may be sent. These may be sent: a Mailbox
// (RFC 5321, 4.1.2; RFC 6531, 3.3), a local part without a domain, and the empty
// address, which is the null reverse-path. The domain may end with a dot.
//
// NotOnWire parses addresses as ReversePath and ForwardPath do, so that a message
// that was accepted can be sent.
func NotOnWire(a string) string {
	switch {
	case a == "":
		return ""
	case len(a) > maxWire:
		return fmt.Sprintf("is longer than %d octets", maxWire)
	case plain(a):
		return ""
	case !utf8.ValidString(a):
		return "is not UTF-8"
	}
	if err := wireAddress(a); err != nil {
		if problem := outsideQuotes(a); problem != "" {
			return problem
		}
		return "is not an address: " + err.Error()
	}
	return ""
}

// IsPlain reports whether an address is a Dot-string in ASCII and a domain in
// canonical form, and at most 1000 octets long. Most addresses are. Such an address
// is a Mailbox that may be sent.
func IsPlain(a string) bool { return len(a) <= maxWire && plain(a) }

// plain is IsPlain for an address of any length.
func plain(a string) bool {
	for i := range len(a) {
		if c := a[i]; c != '.' && !atext(c) {
			return c == '@' && i > 0 && canonical(a[i+1:])
		}
	}
	return false
}

func wireAddress(a string) error {
	n, err := wireLen(a)
	if err == nil && n < len(a) {
		err = fmt.Errorf("unexpected %q after the address", clip(a[n:]))
	}
	return err
}

// WirePath parses the path in angle brackets at the start of s, as the receiver
// of a command does. It returns the address and the rest of s. It accepts what
// NotOnWire accepts.
func WirePath(s string) (address, rest string, err error) {
	p, ok := strings.CutPrefix(s, "<")
	if !ok {
		return "", "", errors.New("no < before the address")
	}
	n := 0
	if !strings.HasPrefix(p, ">") {
		if n, err = wireLen(p); err != nil {
			return "", "", err
		}
	}
	rest, ok = strings.CutPrefix(p[n:], ">")
	if !ok {
		return "", "", errors.New("no > after the address")
	}
	return p[:n], rest, nil
}

// wireLen returns the length of the address at the start of a.
func wireLen(a string) (int, error) {
	local, err := localPart(a, true)
	if err != nil || local == len(a) || a[local] != '@' {
		return local, err
	}
	n, dot, err := mailbox(a, local, true)
	return n + dot, err
}

// outsideQuotes describes common errors in an address, such as a name followed
// by an address in angle brackets.
func outsideQuotes(a string) string {
	quoted := false
	for i := 0; i < len(a); i++ {
		switch c := a[i]; {
		case c < ' ' || c == 0x7f:
			return "has a control character"
		case c == '\\' && quoted:
			i++
			if i < len(a) && (a[i] < ' ' || a[i] == 0x7f) {
				return "has a control character"
			}
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '<' || c == '>' || c == ' '):
			return fmt.Sprintf("has %q outside quotes", c)
		}
	}
	if quoted {
		return "has an open quote"
	}
	return ""
}
