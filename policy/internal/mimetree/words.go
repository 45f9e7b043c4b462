package mimetree

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// maxWord is the longest encoded-word that is looked for; RFC 2047, 2 has 75.
const maxWord = 4096

// DecodeWords reads the encoded-words in a header field's value (RFC 2047),
// as forgivingly as readers of mail do: also without padding, within quotes,
// without space between them, and, where the charset is not known, as if it
// were UTF-8.
func DecodeWords(s string) string {
	var b strings.Builder
	for after := false; ; { // after another word: white space between two is none
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		text, n := decodeWord(s[i:])
		if n == 0 {
			b.WriteString(s[:i+2])
			s, after = s[i+2:], false
			continue
		}
		if !after || strings.Trim(s[:i], " \t\r\n") != "" {
			b.WriteString(s[:i])
		}
		b.WriteString(text)
		s, after = s[i+n:], true
	}
	if b.Len() == 0 {
		return s
	}
	b.WriteString(s)
	return b.String()
}

// decodeWord reads the encoded-word at the start of s: =?charset?B?text?=. n
// is its length, 0 where there is none.
func decodeWord(s string) (text string, n int) {
	s = s[:min(len(s), maxWord)]
	charset, rest, ok := strings.Cut(s[2:], "?")
	if !ok || len(rest) < 2 || rest[1] != '?' {
		return "", 0
	}
	text, _, ok = strings.Cut(rest[2:], "?=")
	if !ok {
		return "", 0
	}
	n = 2 + len(charset) + 1 + 2 + len(text) + 2
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231, 5: a language
	switch rest[0] | 0x20 {
	case 'b':
		return decodeCharset(charset, decodeBase64(text)), n
	case 'q':
		return decodeCharset(charset, unescape(strings.ReplaceAll(text, "_", " "), '=')), n
	}
	return "", 0
}

// decodeBase64 decodes as far as it goes, with padding or without.
func decodeBase64(s string) string {
	kept := make([]byte, 0, len(s))
	for i := range len(s) {
		if inAlphabet(s[i]) && s[i] != '=' {
			kept = append(kept, s[i])
		}
	}
	if len(kept)%4 == 1 {
		kept = kept[:len(kept)-1] // 6 bits are no octet
	}
	b, _ := base64.RawStdEncoding.DecodeString(string(kept)) // it has no other characters
	return string(b)
}

// unescape reads mark and two hexadecimal digits as the octet that they are,
// and leaves alone what is not like that.
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

var errCharset = errors.New("mimetree: the charset cannot be read")

// charsetOf is a charset by its name. One that the WHATWG has every octet
// replaced in is none: others do read it.
func charsetOf(name string) (encoding.Encoding, error) {
	e, err := htmlindex.Get(name)
	if err == nil && e == encoding.Replacement {
		return nil, errCharset
	}
	return e, err
}

func decodeCharset(charset, s string) string {
	if e, err := charsetOf(charset); err == nil {
		if u, err := e.NewDecoder().String(s); err == nil {
			return u
		}
	}
	return s
}

// CharsetReader makes UTF-8 of a charset; an error where it is not known.
func CharsetReader(charset string, r io.Reader) (io.Reader, error) {
	e, err := charsetOf(charset)
	if err != nil {
		return nil, err
	}
	return e.NewDecoder().Reader(r), nil
}
