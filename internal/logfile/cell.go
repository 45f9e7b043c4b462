package logfile

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendCell adds s to b as one cell of a line of comma-separated values. At
// most max bytes of s are kept, and "..." tells that there were more.
//
// Control characters (C0 and C1), separators of lines and paragraphs, marks
// that turn the direction of the text, and all else that is not printed become
// \xNN, \uNNNN or \UNNNNNNNN, as in Go; a backslash is doubled. A cell that
// begins as a formula does has an apostrophe before it, and so has one that
// begins with an apostrophe.
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

// clip is at most max bytes of a longer s, with no part of a character at the
// end.
func clip(s string, max int) string {
	for n := max; n > max-utf8.UTFMax && n >= 0; n-- {
		if utf8.RuneStart(s[n]) {
			return s[:n]
		}
	}
	return s[:max] // it is no UTF-8
}

// Cell reads a cell that AppendCell has written and a reader of
// comma-separated values has unquoted. What is not an escape stays as it is.
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

// escape reads what follows a backslash: what it stands for, and how many
// bytes it takes. Where it is no escape, it stands for the backslash.
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

// isFormula says whether a spreadsheet might take s for a formula, or s begins
// with the apostrophe that says that it is none.
func isFormula(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	switch r {
	case '=', '+', '-', '@', '\'', '＝', '＋', '－', '＠': // the wide ones where they are typed
		return true
	}
	return false
}

// isPlain says whether s can stand in a cell as it is.
func isPlain(s string) bool {
	if s == "" {
		return true
	}
	if !plain[s[0]] || s[0] == ' ' || isFormula(s[:1]) {
		return false
	}
	for i := range len(s) {
		if !plain[s[i]] {
			return false
		}
	}
	return true
}

// plain are the bytes that mean nothing to a reader of the log.
var plain = func() (p [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		p[c] = c != ',' && c != '"' && c != '\\'
	}
	return p
}()
