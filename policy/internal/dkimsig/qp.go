package dkimsig

import (
	"errors"
	"strings"
)

// DecodeQP decodes dkim-quoted-printable (RFC 6376, 2.11): "=" and two hexadecimal
// digits are an octet, and white space is ignored.
func DecodeQP(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
		case '=':
			hi, lo := hexDigit(s, i+1), hexDigit(s, i+2)
			if hi < 0 || lo < 0 {
				return "", errors.New("\"=\" is not followed by two hexadecimal digits")
			}
			b.WriteByte(byte(hi<<4 | lo))
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// hexDigit returns the value of the digit s[i], or -1 if it is not a digit. It
// accepts lower case, as RFC 2045, 6.7 allows.
func hexDigit(s string, i int) int {
	if i >= len(s) {
		return -1
	}
	switch c := s[i]; {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c&^0x20 && c&^0x20 <= 'F':
		return int(c&^0x20-'A') + 10
	}
	return -1
}
