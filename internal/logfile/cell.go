package logfile

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendCell appends s to b as one cell of a line of comma-separated values. It
// keeps at most max bytes of s, and adds "..." if s was longer.
//
// Control characters (C0 and C1), line and paragraph separators, characters
// that change the direction of text, and all other characters that are not
// printable become \xNN, \uNNNN or \UNNNNNNNN, as in Go. A backslash is
// doubled. An apostrophe is added before a cell that begins like a formula or
// with an apostrophe.
func AppendCell(b []byte, s string, max int) []byte {
	if len(s) <= max && isPlain(s) {
		return append(b, s...)
	}
	cut := len(s) > max
	if cut {
		s = clip(s, max)
	}
	b = append(b, '"')
	if isFormula(s) {
		b = append(b, '\'')
	}
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '"':
			b = append(b, '"', '"')
		case r == '\\':
			b = append(b, '\\', '\\')
		case r == utf8.RuneError && n == 1, r < ' ', r == 0x7f:
			b = fmt.Appendf(b, `\x%02X`, s[0])
		case unicode.IsPrint(r):
			b = append(b, s[:n]...)
		case r > 0xffff:
			b = fmt.Appendf(b, `\U%08X`, r)
		default:
			b = fmt.Appendf(b, `\u%04X`, r)
		}
		s = s[n:]
	}
	if cut {
		b = append(b, "..."...)
	}
	return append(b, '"')
}

// clip returns at most max bytes of s, which is longer, without an incomplete
// character at the end.
func clip(s string, max int) string {
	for n := max; n > max-utf8.UTFMax && n >= 0; n-- {
		if utf8.RuneStart(s[n]) {
			return s[:n]
		}
	}
	return s[:max] // s is not UTF-8
}

// Cell returns the original text of a cell. s is the cell that AppendCell
// wrote, after a CSV reader has unquoted it. Cell does not change text that is
// not an escape.
func Cell(s string) string {
	if strings.HasPrefix(s, "'") && isFormula(s[1:]) {
		s = s[1:]
	}
	before, after, ok := strings.Cut(s, `\`)
	if !ok {
		return s
	}
	var b strings.Builder
	for ; ok; before, after, ok = strings.Cut(after, `\`) {
		b.WriteString(before)
		text, n := escape(after)
		b.WriteString(text)
		after = after[n:]
	}
	b.WriteString(before)
	return b.String()
}

// escape parses the text after a backslash. It returns the character and the
// length of the escape. If the text is not an escape, it returns the backslash
// and 0.
func escape(s string) (text string, n int) {
	if s == "" {
		return `\`, 0
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]
	switch {
	case s[0] == '\\':
		return `\`, 1
	case digits == 0 || len(s) <= digits:
		return `\`, 0
	}
	c, err := strconv.ParseUint(s[1:1+digits], 16, 32)
	switch {
	case err != nil:
		return `\`, 0
	case digits == 2:
		return string([]byte{byte(c)}), 3
	case !utf8.ValidRune(rune(c)):
		return `\`, 0
	}
	return string(rune(c)), 1 + digits
}

// isFormula reports whether a spreadsheet could treat s as a formula, or s
// begins with the apostrophe that prevents this.
func isFormula(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	switch r {
	case '=', '+', '-', '@', '\'', '＝', '＋', '－', '＠': // some programs also accept the full-width forms
		return true
	}
	return false
}

// isPlain reports whether s can be a cell without quotes and escapes.
func isPlain(s string) bool {
	if s == "" {
		return true
	}
	if !plain[s[0]] || s[0] == ' ' || isFormula(s[:1]) {
		return false
	}
	for ; len(s) >= 8; s = s[8:] {
		if !plainWord(s) {
			return false
		}
	}
	for i := range len(s) {
		if !plain[s[i]] {
			return false
		}
	}
	return true
}

// plain contains the bytes that have no special meaning in the log.
var plain = func() (p [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		p[c] = c != ',' && c != '"' && c != '\\'
	}
	return p
}()

const (
	ones = 0x0101010101010101 // a word of 8 bytes, each of which is 1
	high = 0x80 * ones
)

// plainWord reports whether plain contains each of the first 8 bytes of s. It
// looks at all of them at once, because most of the cost of a line is this check.
func plainWord(s string) bool {
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56 // one load
	// bad has the high bit of a byte set if that byte of w is below ' ', is one of
	// the special characters, or is not ASCII. A borrow between bytes needs such
	// a byte, so it cannot change the answer.
	bad := w | (w - ' '*ones) | zeroByte(w^0x7f*ones) | zeroByte(w^','*ones) | zeroByte(w^'"'*ones) | zeroByte(w^'\\'*ones)
	return bad&high == 0
}

// zeroByte sets the high bit of a byte of the result if there is a zero byte
// in w. It sets none if there is no zero byte.
func zeroByte(w uint64) uint64 { return (w - ones) &^ w }
