package dsn

import (
	"bytes"
	"strings"
	"sync"
)

// header is the header section of a message, with the CRLF of its last field.
// Of one that is cut off in the middle of a field, that field is left out.
func header(b []byte) []byte {
	if bytes.HasPrefix(b, []byte("\r\n")) {
		return nil
	}
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return b[:i+2]
	}
	for i := len(b); i > 0; {
		i = bytes.LastIndex(b[:i], []byte("\r\n"))
		if i < 0 {
			return nil
		}
		if i+2 == len(b) || b[i+2] != ' ' && b[i+2] != '\t' {
			return b[:i+2]
		}
	}
	return nil
}

// fieldOf is the unfolded value of the first field of that name in a message.
func fieldOf(b []byte, name string) string { return fieldIn(header(b), name) }

// fieldIn is the same for a header section.
func fieldIn(h []byte, name string) string {
	for len(h) > 0 {
		end := bytes.Index(h, []byte("\r\n"))
		for end >= 0 && end+2 < len(h) && (h[end+2] == ' ' || h[end+2] == '\t') {
			next := bytes.Index(h[end+2:], []byte("\r\n"))
			if next < 0 {
				end = -1
				break
			}
			end += 2 + next
		}
		if end < 0 {
			return ""
		}
		if n, v, ok := bytes.Cut(h[:end], []byte(":")); ok && bytes.EqualFold(bytes.TrimSpace(n), []byte(name)) {
			return strings.TrimSpace(strings.ReplaceAll(string(v), "\r\n", ""))
		}
		h = h[end+2:]
	}
	return ""
}

// msgID says whether s looks like one Message-ID, fit to be referred to.
func msgID(s string) bool {
	return len(s) > 2 && len(s) <= 250 && s[0] == '<' && s[len(s)-1] == '>' && ascii([]byte(s)) && !strings.ContainsAny(s, " \t\r\n")
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func longLines(s string) bool {
	for l := range strings.SplitSeq(s, "\n") {
		if len(l) > 998 { // RFC 5322, 2.1.1
			return true
		}
	}
	return false
}

// safe makes a stranger's words fit for a field of the part for machines:
// printable ASCII on one line.
func safe(s string) string {
	return clip(strings.Map(func(c rune) rune {
		switch {
		case c < ' ' || c == 0x7f:
			return ' '
		case c > 0x7f:
			return '?'
		}
		return c
	}, s), 900)
}

// oneLine keeps an address from ending its header field.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, s)
}

// foldWords puts encoded words on lines of their own (RFC 2047, 2).
func foldWords(s string) string { return strings.ReplaceAll(s, "?= =?", "?=\r\n =?") }

// clip shortens what is too long, not in the middle of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}

// Fields are the Message-ID and the Subject of a message, as they stand in
// its header and unfolded; empty where it has none in its first 16 KiB.
func Fields(c Content) (messageID, subject string) {
	b := heads.Get().(*[headMost]byte)
	defer heads.Put(b)
	n, _ := c.ReadAt(b[:], 0)
	h := header(b[:n])
	return fieldIn(h, "Message-ID"), fieldIn(h, "Subject")
}

const headMost = 16 << 10

var heads = sync.Pool{New: func() any { return new([headMost]byte) }}
