package mimetree

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

func isUTF7(charset string) bool {
	switch strings.ToLower(charset) {
	case "utf-7", "utf7", "utf_7", "u7", "unicode-1-1-utf-7", "csunicode11utf7", "x-unicode-1-1-utf-7", "x-unicode-2-0-utf-7":
		return true
	}
	return false
}

// decodeUTF7 decodes UTF-7 (RFC 2152). After "+" the text is UTF-16 in base64, up to
// "-" or another character that base64 does not have. "+-" means "+". Other text is
// not changed.
func decodeUTF7(s string) string {
	var b strings.Builder
	for {
		text, rest, found := strings.Cut(s, "+")
		b.WriteString(text)
		if !found {
			return b.String()
		}
		n := 0
		for n < len(rest) && inAlphabet(rest[n]) && rest[n] != '=' {
			n++
		}
		if n == 0 {
			b.WriteByte('+')
		}
		b.WriteString(string(utf16.Decode(utf16Of(rest[:n]))))
		s = strings.TrimPrefix(rest[n:], "-")
	}
}

// utf16Of decodes UTF-16 in base64 without padding. It ignores incomplete units.
func utf16Of(coded string) []uint16 {
	if len(coded)%4 == 1 {
		coded = coded[:len(coded)-1]
	}
	octets, _ := base64.RawStdEncoding.DecodeString(coded) // it has no other characters
	units := make([]uint16, 0, len(octets)/2)
	for ; len(octets) >= 2; octets = octets[2:] {
		units = append(units, binary.BigEndian.Uint16(octets))
	}
	return units
}
