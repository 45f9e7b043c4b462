package addr

import "strings"

// maxHelo is the longest name that SafeHelo returns, in octets
// (RFC 5321, 4.5.3.1.2).
const maxHelo = 255

// SafeHelo returns the argument of HELO or EHLO in a form that can be written
// into a trace field, a log, a reply or a macro. A domain name and an address
// literal stay as they are. In other names every octet but letters, digits and
// "-._~:/$" is written as in a URL, "%" and two hexadecimal digits (RFC 3986,
// 2.1): "my%20printer". What would be longer than 255 octets is cut.
func SafeHelo(name string) string {
	if len(name) <= maxHelo && (isSafe(name) || isBracketed(name)) {
		return name
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, maxHelo)
	for i := range len(name) {
		c := name[i]
		switch {
		case safe(c) && len(b) < maxHelo:
			b = append(b, c)
		case !safe(c) && len(b) <= maxHelo-3:
			b = append(b, '%', hex[c>>4], hex[c&15])
		default:
			return string(b)
		}
	}
	return string(b)
}

// isBracketed says whether a name looks like an address literal.
func isBracketed(name string) bool {
	return len(name) > 2 && name[0] == '[' && name[len(name)-1] == ']' && isSafe(name[1:len(name)-1])
}

func isSafe(s string) bool {
	for i := range len(s) {
		if !safe(s[i]) {
			return false
		}
	}
	return true
}

func safe(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~:/$", c) >= 0
}
