package smtpclient

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// witness is a connection to a host that sends fixed replies, one line at a
// time. It matches replies with commands by their order (RFC 5321, RFC 2920),
// and fails the test if content is sent before the host has asked for it.
type witness struct {
	fixedHost
	t       *testing.T
	lines   []string
	command []string // in order
	codes   []int    // of the replies that were read, in order; the first is the greeting
	chunks  bool     // BDAT was answered 250
}

const secret = "the text of the message"

func (w *witness) Read(p []byte) (int, error) {
	if len(w.lines) == 0 {
		return 0, io.EOF
	}
	line := w.lines[0]
	n := copy(p, line)
	if w.lines[0] = line[n:]; n < len(line) {
		return n, nil
	}
	w.lines = w.lines[1:]
	line = strings.TrimRight(line, "\r\n")
	if code, err := strconv.Atoi(line[:min(3, len(line))]); err == nil && 200 <= code && code < 600 && (len(line) == 3 || len(line) > 3 && line[3] == ' ') {
		w.codes = append(w.codes, code)
		if i := len(w.codes) - 2; code == 250 && i >= 0 && i < len(w.command) && strings.HasPrefix(w.command[i], "BDAT ") {
			w.chunks = true
		}
	}
	return n, nil
}

func (w *witness) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(secret)) {
		w.judge(string(p))
	}
	if bytes.HasPrefix(p, []byte("BDAT ")) || bytes.Contains(p, []byte(secret)) {
		w.command = append(w.command, string(p)) // one reply for all of it
		return len(p), nil
	}
	for line := range strings.SplitAfterSeq(string(p), "\r\n") {
		if line != "" {
			w.command = append(w.command, line)
		}
	}
	return len(p), nil
}

// judge checks that the host has asked for the content.
func (w *witness) judge(content string) {
	if len(w.codes) != len(w.command)+1 {
		w.t.Fatalf("content after %d replies to %q", len(w.codes), w.command)
	}
	accepted, last := false, 0
	for i, c := range w.command {
		last = w.codes[i+1]
		switch {
		case strings.HasPrefix(c, "MAIL"):
			accepted = false
		case strings.HasPrefix(c, "RCPT"):
			accepted = accepted || last/100 == 2
		}
	}
	asked := strings.HasPrefix(w.command[len(w.command)-1], "DATA") && last == 354
	if strings.HasPrefix(content, "BDAT ") {
		asked = w.chunks
	}
	if !accepted || !asked {
		w.t.Fatalf("content was sent after %q, with replies %v", w.command, w.codes)
	}
}

// For any replies in any order, content is sent only after the host has accepted
// a recipient and has asked for the content, or has accepted a chunk.
func FuzzContentOnlyWhenAsked(f *testing.F) {
	const plain, pipelining = "220 mx\r\n250 mx\r\n", "220 mx\r\n250-mx\r\n250 PIPELINING\r\n"
	const chunking = "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-BINARYMIME\r\n250 CHUNKING\r\n"
	for _, s := range []string{
		plain + "250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 taken\r\n",
		pipelining + "250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 taken\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n",
		pipelining + "250 ok\r\n550 no\r\n550 no\r\n354 go\r\n250 taken\r\n354 go\r\n",
		pipelining + "550 no\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n",
		pipelining + "250 ok\r\n354 go\r\n250 ok\r\n250 ok\r\n",
		pipelining + "250 ok\r\n451 later\r\n503 no\r\n503 no\r\n354 go\r\n",
		pipelining + "250 ok\r\n250 ok\r\n250 ok\r\n503 no\r\n354 go\r\n",
		chunking + "250 ok\r\n250 ok\r\n550 no\r\n250 chunk\r\n250 taken\r\n250 ok\r\n550 no\r\n550 no\r\n250 ok\r\n",
		chunking + "250 ok\r\n250 ok\r\n250 ok\r\n502 no\r\n500 no\r\n",
		chunking + "250 ok\r\n550 no\r\n550 no\r\n250 chunk\r\n250 taken\r\n",
	} {
		for kind := range uint8(4) {
			f.Add([]byte(s), kind)
		}
	}
	f.Fuzz(func(t *testing.T, said []byte, kind uint8) {
		if len(said) > 10_000 {
			return
		}
		tr := &Transport{Hostname: "relay.example", MaxWait: -1, DialContext: func(context.Context, string, string) (net.Conn, error) {
			w := &witness{t: t}
			for line := range strings.SplitAfterSeq(string(said), "\n") {
				if line != "" {
					w.lines = append(w.lines, line)
				}
			}
			return w, nil
		}}
		defer tr.Close()
		text := secret + "\r\n"
		if kind&1 != 0 {
			text = trace + "\r\n" + text
		}
		m := mail(text, "b@example.net", "c@example.net")
		if kind&2 != 0 {
			m.Options.Body = smtp.BodyBinaryMIME
		}
		dst := &Destination{Name: "x", TLS: &TLSPolicy{Level: TLSNone}, Hosts: HostList(Host{Name: "mx", Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 3 {
			tr.Send(ctx, dst, m)
		}
	})
}
