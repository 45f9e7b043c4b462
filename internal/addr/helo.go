package addr

import "strings"

// maxHelo is the length of the longest result of SafeHelo, in octets (RFC 5321,
// 4.5.3.1.2).
const maxHelo = 255

// SafeHelo returns the argument of HELO or EHLO in a form that is safe in trace
// fields, logs, replies and macros. It does not change domain names and address
// literals. In other names it replaces every octet except letters, digits and
// "-._~:/$" with "%" and two hexadecimal digits, as in a URL (RFC 3986, 2.1):
// "my%20printer". It truncates the result to 255 octets.
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

// isBracketed reports whether a name looks like an address literal.
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
