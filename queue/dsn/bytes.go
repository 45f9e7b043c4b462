package dsn

import (
	"strings"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// msgID reports whether s looks like a single Message-ID that In-Reply-To can
// refer to.
func msgID(s string) bool {
	return len(s) > 2 && len(s) <= 250 && s[0] == '<' && s[len(s)-1] == '>' && chars.ASCII(s) && !strings.ContainsAny(s, " \t\r\n")
}

// longLines reports whether a line of s is too long for a message.
func longLines(s string) bool {
	for l := range strings.SplitSeq(s, "\n") {
		if len(l) > 998 { // RFC 5322, 2.1.1
			return true
		}
	}
	return false
}

// safe makes untrusted text safe for a field of the part for programs: printable
// ASCII on one line, at most 900 bytes.
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

// foldWords puts each encoded word on a line of its own (RFC 2047, 2).
func foldWords(s string) string { return strings.ReplaceAll(s, "?= =?", "?=\r\n =?") }

// clip shortens s to at most n bytes. It does not cut a character in two.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}

// IDAndSubject returns the values of the Message-ID and Subject fields of a
// message, unfolded but not decoded. It reads the first 16 KiB of the message.
// A field that is not found there is empty.
func IDAndSubject(c Content) (messageID, subject string) {
	b := heads.Get().(*[headMost]byte)
	defer heads.Put(b)
	n, _ := c.ReadAt(b[:], 0)
	h := header.Of(b[:n], int64(n) < c.Size())
	return header.Get(h, "Message-ID"), header.Get(h, "Subject")
}

const headMost = 16 << 10

var heads = sync.Pool{New: func() any { return new([headMost]byte) }}
