package rules

import (
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
)

// encode writes text in a charset in which ASCII is ASCII.
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

// hasASCII says whether ASCII is ASCII in a charset. Those that are not known
// are taken to be like all but a few.
func hasASCII(charset string) bool {
	if e, err := htmlindex.Get(charset); err == nil {
		name, err := htmlindex.Name(e)
		return err == nil && !strings.HasPrefix(name, "utf-16") && name != "replacement"
	}
	return mimetree.ASCIIBased(charset)
}

// readable says whether text in a charset can be searched for words: it can be
// decoded, or has at least its ASCII as it is.
func readable(charset string) bool {
	if _, err := mimetree.CharsetReader(charset, strings.NewReader("")); err == nil {
		return true
	}
	return mimetree.ASCIIBased(charset) || hasStates(charset)
}

// hasStates says whether an octet of ASCII may be a part of another character in
// a charset, after an escape sequence (ISO 2022, RFC 1843). Tags cannot be found
// in it without decoding.
func hasStates(charset string) bool {
	charset = strings.ToLower(charset)
	return strings.Contains(charset, "2022") || strings.HasPrefix(charset, "hz")
}
