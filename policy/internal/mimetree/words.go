package mimetree

import (
	"encoding/base64"
	"strings"
)

// maxWord is the maximum length of an encoded-word. RFC 2047, 2 allows 75
// characters.
const maxWord = 4096

// DecodeWords decodes the encoded-words in the value of a header field (RFC 2047).
// Like mail programs, it accepts invalid forms: without padding, within quotes, or
// without space between words. It returns text in an unknown charset unchanged.
func DecodeWords(s string) string {
	text, _ := decodeWords(s)
	return text
}

// decodeWords implements DecodeWords. sure is false if a word has an unknown
// charset that may not be based on ASCII: other programs may read another text.
func decodeWords(s string) (text string, sure bool) {
	var b strings.Builder
	sure = true
	for after := false; ; { // after another word: white space between words is ignored
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		charset, octets, n := cutWord(s[i:])
		if n == 0 {
			b.WriteString(s[:i+2])
			s, after = s[i+2:], false
			continue
		}
		if !after || strings.Trim(s[:i], " \t\r\n") != "" {
			b.WriteString(s[:i])
		}
		text, known := decodeCharset(charset, octets)
		sure = sure && known
		b.WriteString(text)
		s, after = s[i+n:], true
	}
	if b.Len() == 0 {
		return s, sure
	}
	b.WriteString(s)
	return b.String(), sure
}

// cutWord parses the encoded-word at the start of s: =?charset?B?text?=. n is its
// length, or 0 if there is none.
func cutWord(s string) (charset, octets string, n int) {
	s = s[:min(len(s), maxWord)]
	charset, rest, ok := strings.Cut(s[2:], "?")
	if !ok || len(rest) < 2 || rest[1] != '?' {
		return "", "", 0
	}
	text, _, ok := strings.Cut(rest[2:], "?=")
	if !ok {
		return "", "", 0
	}
	n = 2 + len(charset) + 1 + 2 + len(text) + 2
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231, 5: a language
	switch rest[0] | 0x20 {
	case 'b':
		return charset, decodeBase64(text), n
	case 'q':
		return charset, unescape(strings.ReplaceAll(text, "_", " "), '='), n
	}
	return "", "", 0
}

// decodeBase64 decodes base64 with or without padding. It ignores other
// characters.
func decodeBase64(s string) string {
	kept := make([]byte, 0, len(s))
	for i := range len(s) {
		if inAlphabet(s[i]) && s[i] != '=' {
			kept = append(kept, s[i])
		}
	}
	if len(kept)%4 == 1 {
		kept = kept[:len(kept)-1] // 6 bits are not an octet
	}
	b, _ := base64.RawStdEncoding.DecodeString(string(kept)) // it has no other characters
	return string(b)
}

// unescape replaces mark and two hexadecimal digits by the octet. It does not
// change other text.
func unescape(s string, mark byte) string {
	if strings.IndexByte(s, mark) < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == mark && i+2 < len(s) {
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
