package dsn

import (
	"strings"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// msgID says whether s looks like one Message-ID, fit to be referred to.
func msgID(s string) bool {
	return len(s) > 2 && len(s) <= 250 && s[0] == '<' && s[len(s)-1] == '>' && chars.ASCII(s) && !strings.ContainsAny(s, " \t\r\n")
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
	h := header.Of(b[:n], int64(n) < c.Size())
	return header.Get(h, "Message-ID"), header.Get(h, "Subject")
}

const headMost = 16 << 10

var heads = sync.Pool{New: func() any { return new([headMost]byte) }}
