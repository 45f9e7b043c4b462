package main

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// inert returns a text that cannot control a terminal or change how the text
// around it looks.
func inert(s string) string { return chars.Inert(s, 0) }

// inertJSON returns a JSON document with escapes for the characters that could
// control a terminal. Its meaning is the same: in JSON they can only be in
// strings. Bytes that are not UTF-8 become U+FFFD, as for each decoder.
func inertJSON(doc []byte) string {
	s := string(doc)
	if chars.Printable(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || r == '\r': // between the tokens
			b.WriteByte(' ')
		case r != 0x7f && (r < 0x80 || chars.Visible(r)):
			b.WriteRune(r)
		case r > 0xffff: // RFC 8259, 7: two surrogates
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
