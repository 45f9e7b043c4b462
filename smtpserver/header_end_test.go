package smtpserver_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// headerEnds are messages with a header that programs read in different ways,
// the content after the repair, and the fields that agents see. Other messages
// do not change: see TestContent.
var headerEnds = []struct{ name, message, want, fields string }{
	{"no header", "hello\r\nFrom: a\r\n", "\r\nhello\r\nFrom: a\r\n", ""},
	{"no field", "To: x\r\nno field at all\r\nFrom: a\r\n\r\nb\r\n", "To: x\r\n\r\nno field at all\r\nFrom: a\r\n\r\nb\r\n", "To"},
	{"space in the name", "To: x\r\nX Mailer: y\r\nFrom: a\r\n\r\nb\r\n", "To: x\r\n\r\nX Mailer: y\r\nFrom: a\r\n\r\nb\r\n", "To"},
	{"no name", "To: x\r\n:\r\nFrom: a\r\n\r\nb\r\n", "To: x\r\n\r\n:\r\nFrom: a\r\n\r\nb\r\n", "To"},
	{"name folded", "To: x\r\nFrom\r\n : a\r\n\r\nb\r\n", "To: x\r\n\r\nFrom\r\n : a\r\n\r\nb\r\n", "To"},
	{"first name folded", "From\r\n : a\r\n\r\nb\r\n", "\r\nFrom\r\n : a\r\n\r\nb\r\n", ""},
	{"first line folded", " x\r\nFrom: a\r\n\r\nb\r\n", "\r\n x\r\nFrom: a\r\n\r\nb\r\n", ""},
	{"8 bit in the name", "To: x\r\nX\xfc: y\r\nFrom: a\r\n\r\nb\r\n", "To: x\r\n\r\nX\xfc: y\r\nFrom: a\r\n\r\nb\r\n", "To"},
	{"mbox", "From x Sat\r\nFrom: a\r\n\r\nb\r\n", "X-Mailbox-Line: From x Sat\r\nFrom: a\r\n\r\nb\r\n", "X-Mailbox-Line From"},
	{"mbox, quoted", ">From x Sat\r\nFrom: a\r\n\r\nb\r\n", "X-Mailbox-Line: >From x Sat\r\nFrom: a\r\n\r\nb\r\n", "X-Mailbox-Line From"},
	{"mbox, later", "To: x\r\nFrom x Sat\r\nFrom: a\r\n\r\nb\r\n", "To: x\r\n\r\nFrom x Sat\r\nFrom: a\r\n\r\nb\r\n", "To"},
	{"mbox, no header", "From x Sat\r\nb\r\n", "X-Mailbox-Line: From x Sat\r\n\r\nb\r\n", "X-Mailbox-Line"},
	{"space before the colon", "From : a\r\nSubject\t: x\r\n\r\nb\r\n", "From : a\r\nSubject\t: x\r\n\r\nb\r\n", "From Subject"},
	{"long lines", "To: " + strings.Repeat("x", 2000) + "\r\n" + strings.Repeat("y", 2000) + "\r\nFrom: a\r\n\r\n", "To: " + strings.Repeat("x", 2000) + "\r\n\r\n" + strings.Repeat("y", 2000) + "\r\nFrom: a\r\n\r\n", "To"},
}

// The header ends in the same place with DATA, with BDAT in one or many chunks,
// in memory and in a file.
func TestHeaderEnd(t *testing.T) {
	for _, where := range []string{"memory", "file"} {
		s := generous()
		var fields string
		s.Agents = []smtpserver.Agent{{Name: "fields", EndOfHeaders: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			var names []string
			for _, f := range m.Header.Fields() {
				names = append(names, f.Name())
			}
			fields = strings.Join(names, " ")
			return nil
		}}}
		if where == "file" {
			s.Limits.MemoryContent = 1
		}
		srv := smtptest.NewServer(t, s)
		for _, c := range headerEnds {
			for way, script := range map[string]string{
				"DATA":           fmt.Sprintf("C: DATA\nS: 354\nR: %q\nS: 250\n", c.message+".\r\n"),
				"BDAT":           chunks(c.message, len(c.message)),
				"BDAT in chunks": chunks(c.message, 7),
				"BDAT by octets": chunks(c.message, 1),
			} {
				smtptest.Talk(t, srv.Addr, openTransaction+script)
				if got := srv.Inbox.Next(t).Text; got != c.want || fields != c.fields {
					t.Errorf("%s, %s, %s: %.200q with the fields %s, want %.200q with %s", c.name, way, where, got, fields, c.want, c.fields)
				}
			}
		}
	}
}

// chunks are the lines of a conversation that send a message with BDAT.
func chunks(message string, size int) string {
	var b strings.Builder
	for len(message) > size {
		fmt.Fprintf(&b, "R: %q\nS: 250\n", fmt.Sprintf("BDAT %d\r\n%s", size, message[:size]))
		message = message[size:]
	}
	fmt.Fprintf(&b, "R: %q\nS: 250\n", fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message))
	return b.String()
}

// If the last field has no line end, it gets one.
func TestLastFieldWithoutLineEnd(t *testing.T) {
	srv := smtptest.NewServer(t, nil)
	smtptest.Talk(t, srv.Addr, openTransaction+`
		R: "BDAT 16 LAST\r\nTo: x\r\nFrom: abc"
		S: 250
	`)
	if got := srv.Inbox.Next(t).Text; got != "To: x\r\nFrom: abc\r\n" {
		t.Errorf("%q", got)
	}
}

// If an agent adds a body or a header, there is a blank line between header and
// body.
func TestContentOfChangedMessage(t *testing.T) {
	text := func(m *smtpserver.Message) string {
		b, err := io.ReadAll(io.NewSectionReader(m.Content(), 0, m.Content().Size()))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	m := &smtpserver.Message{}
	if err := m.Header.Append("A: b\r\n"); err != nil || text(m) != "A: b\r\n" {
		t.Errorf("%q, %v", text(m), err)
	}
	m.Body = content.Of([]byte("body"))
	if text(m) != "A: b\r\n\r\nbody" {
		t.Errorf("%q", text(m))
	}
	if err := m.SetContent(content.Of([]byte("A: b\nC: d\n\nbody\n"))); err != nil || text(m) != "A: b\nC: d\n\nbody\n" || m.Header.Get("c") != "d" {
		t.Errorf("LF: %q, %v", text(m), err)
	}
}
