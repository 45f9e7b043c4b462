package rules

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// words are words or phrases in lower case.
type words [][]byte

func newWords(ws []string) words {
	lower := make(words, len(ws))
	for i, w := range ws {
		lower[i] = []byte(strings.ToLower(w))
	}
	return lower
}

// pieceSize is how much of a text is converted to lower case at once.
const pieceSize = 4 << 10

// in reports whether text in lower case contains one of the words. It converts one
// piece after another in the buffer lower, which it returns for the next call. Its
// memory does not depend on the length of the text.
func (ws words) in(text, lower []byte) (found bool, _ []byte) {
	longest := 0
	for _, w := range ws {
		if len(w) == 0 {
			return true, lower
		}
		longest = max(longest, len(w))
	}
	if longest == 0 {
		return false, lower
	}
	lower = slices.Grow(lower[:0], min(len(text), longest+pieceSize))
	for len(text) > 0 {
		n := cut(text, pieceSize)
		lower = appendLower(lower, text[:n])
		text = text[n:]
		if slices.ContainsFunc(ws, func(w []byte) bool { return bytes.Contains(lower, w) }) {
			return true, lower
		}
		// A word may begin in this piece and end in the next one.
		lower = append(lower[:0], lower[max(0, len(lower)-longest+1):]...)
	}
	return false, lower
}

// cut returns a position in text, at most n, that is not within a character.
func cut(text []byte, n int) int {
	if len(text) <= n {
		return len(text)
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			return i
		}
	}
	return n // not UTF-8
}

// appendLower appends text to b, in lower case like strings.ToLower.
func appendLower(b, text []byte) []byte {
	const high, each = 0x8080808080808080, 0x0101010101010101
	at := len(b)
	b = append(b, text...)
	i := at
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if x&high != 0 {
			break
		}
		// The high bits of octets from A to Z.
		upper := (x + (0x80-'A')*each) &^ (x + (0x80-'Z'-1)*each) & high
		binary.LittleEndian.PutUint64(b[i:], x|upper>>2)
	}
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case 'A' <= c && c <= 'Z':
			b[i] = c | 0x20
		case c >= utf8.RuneSelf:
			rest := text[i-at:]
			b = b[:i]
			for len(rest) > 0 {
				r, n := utf8.DecodeRune(rest)
				b = utf8.AppendRune(b, unicode.ToLower(r))
				rest = rest[n:]
			}
			return b
		}
	}
	return b
}
