package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// corpus makes n realistic messages. The Message-IDs are
// <KIND.I.PREFIX@corpus.test>. The same arguments make the same bytes.
func corpus(prefix string, n int) map[string][]byte {
	msgs := map[string][]byte{}
	for i := range n {
		kind := kinds[i%len(kinds)]
		id := fmt.Sprintf("<%s.%d.%s@corpus.test>", kind.name, i, prefix)
		r := rand.New(rand.NewPCG(uint64(i), uint64(len(prefix))))
		head := "From: Alice <alice@example.com>\r\nTo: bob@example.net\r\n" +
			fmt.Sprintf("Subject: %s %d\r\nMessage-ID: %s\r\n", kind.name, i, id) +
			"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
		msgs[id] = []byte(head + kind.rest(r))
	}
	return msgs
}

var kinds = []struct {
	name string
	rest func(r *rand.Rand) string // the rest of the header, blank line, body
}{
	{"plain", func(r *rand.Rand) string {
		return "\r\n" + lines(r, 20, words)
	}},
	{"eightbit", func(r *rand.Rand) string {
		return "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
			lines(r, 20, func(r *rand.Rand) string { return "Grüße aus Köln – " + words(r) + " ✓" })
	}},
	{"multipart", func(r *rand.Rand) string {
		blob := make([]byte, 20000+r.IntN(40000))
		for i := range blob {
			blob[i] = byte(r.Uint32())
		}
		return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"=_frontier\"\r\n\r\nThis is MIME.\r\n" +
			"--=_frontier\r\nContent-Type: text/plain\r\n\r\n" + lines(r, 5, words) +
			"--=_frontier\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			wrap(base64.StdEncoding.EncodeToString(blob), 76) + "--=_frontier--\r\n"
	}},
	{"dots", func(r *rand.Rand) string {
		return "\r\n.\r\n..\r\n...three\r\n" + lines(r, 10, func(r *rand.Rand) string {
			return strings.Repeat(".", r.IntN(4)) + words(r)
		}) + ". \r\n.\r\n"
	}},
	{"longlines", func(r *rand.Rand) string { // RFC 5321, 4.5.3.1.6 allows 998 octets
		return "\r\n" + strings.Repeat("x", 998) + "\r\n" + strings.Repeat("y ", 499) + "\r\n"
	}},
	{"emptybody", func(*rand.Rand) string { return "\r\n" }},
	{"folded", func(r *rand.Rand) string {
		return "X-Long: one\r\n two\r\n\tthree \r\nx-odd-CASE:no space\r\nX-Empty:\r\nReceived: from a by b;\r\n\tFri, 20 Nov 2026 12:00:00 +0000\r\n\r\n" +
			"trailing blanks   \t\r\n\r\n\r\n"
	}},
}

// huge makes one message of about size bytes.
func huge(prefix string, size int) (id string, msg []byte) {
	id = fmt.Sprintf("<huge.0.%s@corpus.test>", prefix)
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: alice@example.com\r\nTo: bob@example.net\r\nSubject: huge\r\nMessage-ID: %s\r\n\r\n", id)
	r := rand.New(rand.NewPCG(1, 2))
	for b.Len() < size {
		b.WriteString(lines(r, 100, words))
	}
	return id, b.Bytes()
}

func words(r *rand.Rand) string {
	var b strings.Builder
	for range 3 + r.IntN(9) {
		b.WriteString([]string{"relay", "queue", "mail", "bridge", "head", "hop", "route", "spool"}[r.IntN(8)])
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

func lines(r *rand.Rand, n int, line func(*rand.Rand) string) string {
	var b strings.Builder
	for range n {
		b.WriteString(line(r))
		b.WriteString("\r\n")
	}
	return b.String()
}

func wrap(s string, n int) string {
	var b strings.Builder
	for len(s) > n {
		b.WriteString(s[:n] + "\r\n")
		s = s[n:]
	}
	return b.String() + s + "\r\n"
}
