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
	var hasID, hasSubject bool
	for f := range header.All(head(c, b)) {
		switch {
		case !hasID && f.Is("Message-ID"):
			messageID, hasID = f.Value(), true
		case !hasSubject && f.Is("Subject"):
			subject, hasSubject = f.Value(), true
		}
		if hasID && hasSubject {
			break
		}
	}
	return messageID, subject
}

// head reads the header section of a message, or as much of it as b has room
// for. It begins with a small read, which is enough for most messages, so that
// their bodies are not copied.
func head(c Content, b *[headMost]byte) []byte {
	var s header.Scanner
	n, _ := c.ReadAt(b[:headFirst], 0)
	if s.Scan(b[:n], int64(n) == c.Size()) {
		return b[:s.End]
	}
	if n == headFirst {
		more, _ := c.ReadAt(b[n:], int64(n))
		n += more
	}
	return header.Of(b[:n], int64(n) < c.Size())
}

const (
	headFirst = 2 << 10
	headMost  = 16 << 10
)

var heads = sync.Pool{New: func() any { return new([headMost]byte) }}
