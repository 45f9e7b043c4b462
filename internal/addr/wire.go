package addr

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxWire limits an address on a command line. RFC 5321, 4.5.3.1.3 has 256
// octets. An agent may make an address longer than it was when it came in.
const maxWire = 1000

// NotOnWire says why an address must not be written between the angle brackets
// of a command; it returns "" for an address that may. An address may be written
// if it is a Mailbox (RFC 5321, 4.1.2; RFC 6531, 3.3) or a local part without
// a domain. The domain may have a dot at its end. The empty address is the null
// reverse-path.
//
// NotOnWire reads addresses as ReversePath and ForwardPath do: a message that
// was accepted can be sent on.
func NotOnWire(a string) string {
	switch {
	case a == "":
		return ""
	case len(a) > maxWire:
		return fmt.Sprintf("is longer than %d octets", maxWire)
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

func wireAddress(a string) error {
	n, err := wireLen(a)
	if err == nil && n < len(a) {
		err = fmt.Errorf("unexpected %q after the address", clip(a[n:]))
	}
	return err
}

// WirePath reads the path in angle brackets at the start of s, as a host reads
// what we write, and returns the address and what follows the path. It accepts
// what NotOnWire accepts.
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

// outsideQuotes names the usual faults of a wrong address, such as a name and
// an address in angle brackets.
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
