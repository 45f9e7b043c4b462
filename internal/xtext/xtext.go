// Package xtext encodes and decodes values of SMTP parameters that may contain
// any character: xtext (RFC 3461, 4) and the forms of the utf-8 address type
// (RFC 6533, 3).
package xtext

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const hex = "0123456789ABCDEF"

// Encode returns s as xtext. It replaces "+", "=" and every byte that is not
// printable ASCII with "+XX".
func Encode(s string) string {
	n := 0
	for i := 0; i < len(s); i++ {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := 0; i < len(s); i++ {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '+', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// Decode decodes xtext. Like Postfix, it accepts some deviations from RFC 3461,
// 4 that are not ambiguous: lower-case digits, and "=" that is not encoded. The
// error describes the first byte that is not xtext.
func Decode(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			if i+2 >= len(s) {
				return "", fmt.Errorf("xtext: incomplete +XX at %d", i)
			}
			hi, lo := digit(s[i+1]), digit(s[i+2])
			if hi < 0 || lo < 0 {
				return "", fmt.Errorf("xtext: %q at %d is not +XX with hexadecimal digits", s[i:i+3], i)
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		case plain(c), c == '=':
			b = append(b, c)
		default:
			return "", fmt.Errorf("xtext: byte %#02x at %d is not allowed", c, i)
		}
	}
	return string(b), nil
}

// digit returns the value of a hexadecimal digit in upper or lower case, or -1.
func digit(c byte) int {
	if 'a' <= c && c <= 'f' {
		c -= 'a' - 'A'
	}
	return strings.IndexByte(hex, c)
}

func plain(c byte) bool { return c > ' ' && c < 0x7f && c != '+' && c != '=' }

// EncodeUTF8Addr encodes an address of the type utf-8 (RFC 6533, 3). The result
// has the form utf-8-addr-unitext, for a session with SMTPUTF8. If ascii is
// true, it has the form utf-8-addr-xtext, for a session without. Control
// characters (C0 and C1) are always encoded.
func EncodeUTF8Addr(s string, ascii bool) string {
	var b strings.Builder
	for _, r := range s {
		if r == '\\' || r == '+' || r == '=' || r <= ' ' || 0x7f <= r && r < 0xa0 || (ascii && r > 0x7f) {
			fmt.Fprintf(&b, `\x{%02X}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// DecodeUTF8Addr decodes the forms utf-8-addr-xtext and utf-8-addr-unitext (RFC
// 6533, 3). Like Postfix, it also accepts "+" and "=" that are not encoded,
// lower-case digits, and \x{HEX} for characters that need no encoding. C1
// controls (U+0080 to U+009F) are an error in both forms, because addresses
// cannot contain them.
func DecodeUTF8Addr(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("utf-8 address: not UTF-8")
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\\':
			end := strings.IndexByte(s[i:], '}')
			if end < 0 || !strings.HasPrefix(s[i:], `\x{`) {
				return "", fmt.Errorf(`utf-8 address: "\" at %d does not begin a \x{HEX}`, i)
			}
			r, err := hexPoint(s[i+3 : i+end])
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			i += end + 1
		case c == 0xc2 && s[i+1] < 0xa0:
			return "", fmt.Errorf("utf-8 address: control character at %d", i)
		case c <= ' ' || c == 0x7f:
			return "", fmt.Errorf("utf-8 address: byte %#02x at %d must be written as \\x{HEX}", c, i)
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), nil
}

// hexPoint parses the digits of \x{HEX}: 1 to 6 digits, for any character
// except NUL and the C1 controls.
func hexPoint(digits string) (rune, error) {
	r := rune(0)
	for i := 0; i < len(digits); i++ {
		d := digit(digits[i])
		if d < 0 || i >= 6 {
			return 0, fmt.Errorf(`utf-8 address: \x{%s} is not a code point`, digits)
		}
		r = r<<4 | rune(d)
	}
	if r == 0 || 0x80 <= r && r < 0xa0 || !utf8.ValidRune(r) {
		return 0, fmt.Errorf(`utf-8 address: \x{%s} is not allowed`, digits)
	}
	return r, nil
}
