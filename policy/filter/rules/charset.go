package rules

import (
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
)

// encode encodes text in a charset that is a superset of ASCII.
func encode(text, charset string) ([]byte, bool) {
	if !hasASCII(charset) {
		return nil, false
	}
	if chars.ASCII(text) {
		return []byte(text), true
	}
	if charset == "" || strings.EqualFold(charset, "us-ascii") {
		return nil, false
	}
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return nil, false
	}
	s, err := enc.NewEncoder().String(text)
	return []byte(s), err == nil
}

// hasASCII reports whether a charset is a superset of ASCII. Unknown charsets
// usually are.
func hasASCII(charset string) bool {
	if e, err := htmlindex.Get(charset); err == nil {
		name, err := htmlindex.Name(e)
		return err == nil && !strings.HasPrefix(name, "utf-16") && name != "replacement"
	}
	return mimetree.ASCIIBased(charset)
}

// readable reports whether text in a charset can be searched for words: the
// charset can be decoded, or at least its ASCII characters can be read.
func readable(charset string) bool {
	if mimetree.KnowsCharset(charset) {
		return true
	}
	return mimetree.ASCIIBased(charset) || hasStates(charset)
}

// hasStates reports whether an ASCII octet after an escape sequence may be part
// of another character (ISO 2022, RFC 1843). HTML tags cannot be found in such a
// charset without decoding.
func hasStates(charset string) bool {
	charset = strings.ToLower(charset)
	return strings.Contains(charset, "2022") || strings.HasPrefix(charset, "hz")
}
