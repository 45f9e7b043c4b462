package e2e

import (
	"bytes"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Promise 5, with real mail: the message files of other projects' tests. Many are
// malformed on purpose. Each one passes a complete relay and arrives unchanged
// after the trace field.
// There are two repairs: a header without a blank line at its end gets one, and
// the line of a mailbox file before a header becomes an X-Mailbox-Line field.
// Only bare CR, bare LF and NUL are refused.
func TestRealMessages(t *testing.T) {
	files := peers.NeedMessages(t, 300)
	end := newSink(t)
	relay := startRelay(t, relayConfig{smartHost: end.addr})
	c, err := smtp.Dial(relay.addr)
	must(t, err)
	defer c.Close()
	must(t, c.Hello("client.example.net"))

	sent := map[string][]byte{} // by file
	refused := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		m := asCRLF(b)
		err = sendRaw(c, fileTag(file), m)
		switch hasBare := bytes.ContainsRune(withoutCRLF(m), '\r') || bytes.IndexByte(m, 0) >= 0; {
		case err == nil && hasBare:
			t.Errorf("%s: a message with a bare CR or a NUL was accepted", file)
		case err == nil:
			sent[fileTag(file)] = m
		case hasBare:
			refused++
			// The relay closes the session after such a message.
			c.Close()
			c, err = smtp.Dial(relay.addr)
			must(t, err)
			must(t, c.Hello("client.example.net"))
		default:
			t.Errorf("%s: %v", file, err)
		}
	}
	await(t, time.Minute, "all messages", func() bool {
		return len(end.received()) >= len(sent) && relay.waiting(t) == 0
	})

	repaired, mailbox := 0, 0
	for _, got := range end.received() {
		tag, _, _ := strings.Cut(got.to[0], "@")
		want, ok := sent[tag]
		if !ok {
			t.Errorf("%s arrived a second time, or was never sent", tag)
			continue
		}
		delete(sent, tag)
		lf := bytes.ReplaceAll(got.data, []byte("\r\n"), []byte("\n"))
		at := ours.FindIndex(lf)
		if at == nil {
			t.Errorf("%s: no trace field in %.300q", tag, got.data)
			continue
		}
		body := got.data[at[1]+bytes.Count(lf[:at[1]], []byte("\n")):]
		if mbox, ok := bytes.CutPrefix(body, []byte("X-Mailbox-Line: From ")); ok {
			mailbox++
			body = append([]byte("From "), mbox...)
		}
		if bytes.Equal(body, want) {
			continue
		}
		repaired++
		if i := firstDifference(body, want); !slices.Equal(body[:i], want[:i]) ||
			!bytes.HasPrefix(body[i:], []byte("\r\n")) || !bytes.Equal(body[i+2:], want[i:]) || isField(want[i:]) {
			t.Errorf("%s: differs from byte %d on: sent %.80q, arrived %.80q", tag, i, want[i:], body[i:])
		}
	}
	for tag := range sent {
		t.Errorf("%s did not arrive", tag)
	}
	t.Logf("%d files: %d refused for a bare CR or NUL, %d with a blank line put after their header, %d with an X-Mailbox-Line field, the rest byte for byte",
		len(files), refused, repaired, mailbox)
}

// fileTag names a file in the local part of a recipient.
func fileTag(file string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, filepath.Base(filepath.Dir(file))+"-"+filepath.Base(file))
}

// sendRaw sends m as 8-bit mail, also if it is malformed.
func sendRaw(c *smtp.Client, tag string, m []byte) error {
	for _, cmd := range []string{"MAIL FROM:<alice@example.com> BODY=8BITMIME", "RCPT TO:<" + tag + "@example.net>"} {
		id, err := c.Text.Cmd("%s", cmd)
		if err != nil {
			return err
		}
		c.Text.StartResponse(id)
		_, _, err = c.Text.ReadResponse(25)
		c.Text.EndResponse(id)
		if err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m); err != nil {
		return err
	}
	return w.Close()
}

// asCRLF gives each line of a file CRLF at its end, also the last.
func asCRLF(b []byte) []byte {
	b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		b = append(b, "\r\n"...)
	}
	return b
}

func withoutCRLF(m []byte) []byte { return bytes.ReplaceAll(m, []byte("\r\n"), nil) }

func firstDifference(a, b []byte) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}

// isField reports whether b begins with a field (RFC 5322, 2.2 and 4.5.8). It does
// not use the project's own parser.
func isField(b []byte) bool {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	name, _, colon := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	return colon && len(name) > 0 && !bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
}
