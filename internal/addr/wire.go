package addr

import (
	"fmt"
	"unicode/utf8"
)

// maxWire bounds an address on a command line. RFC 5321, 4.5.3.1.3 has 256;
// what a relay accepted it should also be able to pass on.
const maxWire = 1000

// NotOnWire says why an address cannot stand between the angle brackets of a
// command line; empty when it can. It guards the command line; the grammar is
// the next host's to judge.
func NotOnWire(a string) string {
	if len(a) > maxWire {
		return fmt.Sprintf("is longer than %d octets", maxWire)
	}
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
	if !utf8.ValidString(a) {
		return "is not UTF-8"
	}
	return ""
}
