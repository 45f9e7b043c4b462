package smtpserver_test

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Some servers accepted these sequences as the end of data (SMTP smuggling,
// CVE-2023-51764 and similar). In this server none of them ends the data. The
// text after them is part of the same message, which is refused. The server
// reads the next command correctly.
func TestFalseEndsOfData(t *testing.T) {
	for _, odd := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n\n.\r\n", "\r\r\n.\r\r\n",
		"\n.\r", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\r\n", "\x00\r\n", "\r",
	} {
		srv := smtptest.NewServer(t, nil)
		smuggled := "MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\n"
		smtptest.Talk(t, srv.Addr, send("Subject: x\r\n\r\nbody"+odd+smuggled+"\r\n.\r\n", "550 5.6.11"))
		if n := srv.Inbox.Len(); n != 0 {
			t.Errorf("%q: %d messages were taken", odd, n)
		}
	}
}

// "\r\r\n.\r\n" does end the data, since CRLF.CRLF is in it; the bare CR before
// it causes the message to be refused.
func TestBareCRBeforeTheEnd(t *testing.T) {
	srv := smtptest.NewServer(t, nil)
	smtptest.Talk(t, srv.Addr, send("Subject: x\r\n\r\nbody\r\r\n.\r\n", "550 5.6.11 Message has a bare CR"))
}

// Input that arrives together with such a message may be part of it. The server
// executes none of it.
func TestInputAfterBareBytes(t *testing.T) {
	for _, odd := range []string{"\r\r\n.\r\n", "\n\r\n.\r\n", "\x00\r\n.\r\n"} {
		srv := smtptest.NewServer(t, nil)
		smuggled := "MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nBDAT 15 LAST\r\nSubject: x\r\n\r\nboo"
		smtptest.Talk(t, srv.Addr, send("Subject: x\r\n\r\nbody"+odd+smuggled, "550 5.6.11"))
		if n := srv.Inbox.Len(); n != 0 {
			t.Errorf("%q: %d messages were taken", odd, n)
		}
	}
}

func TestBareBytesNamed(t *testing.T) {
	for raw, want := range map[string]string{
		"a\nb":   "550 5.6.11 Message has a bare LF",
		"a\rb":   "550 5.6.11 Message has a bare CR",
		"a\x00b": "550 5.6.11 Message has a NUL",
	} {
		srv := smtptest.NewServer(t, nil)
		smtptest.Talk(t, srv.Addr, send("Subject: x\r\n\r\n"+raw+"\r\n.\r\n", want))
	}
}

// The server finds a bare CR however the client splits its writes.
func TestBareBytesAtEverySplit(t *testing.T) {
	text := "Subject: x\r\n\r\nab\rcd\r\n.\r\n"
	for cut := 1; cut < len(text); cut++ {
		var got strings.Builder
		hasBare, end, _ := smtpserver.ReadText([]string{text[:cut], text[cut:]}, false, &got)
		if !hasBare || !end {
			t.Errorf("cut at %d: bare %v, end %v", cut, hasBare, end)
		}
	}
}

// With BareNormalize, a bare LF ends a line, but never the data, and a dot
// after it is not removed.
func TestNormalize(t *testing.T) {
	for raw, want := range map[string]string{
		"a\nb\r\n.\r\n":            "a\r\nb\r\n",
		"a\n.\nb\r\n.\r\n":         "a\r\n.\r\nb\r\n",
		"a\n.\r\nb\r\n.\r\n":       "a\r\n.\r\nb\r\n",
		"a\n..b\r\n.\r\n":          "a\r\n..b\r\n",
		"a\r\n..b\r\n.\r\n":        "a\r\n.b\r\n",
		"a\rb\r\r\nc\r\n.\r\n":     "ab\r\nc\r\n",
		"a\x00b\r\n.\r\n":          "ab\r\n",
		"a\r\n.\rb\r\n.\r\n":       "a\r\nb\r\n",
		"a\r\n.\r\r\nb\r\n.\r\n":   "a\r\n\r\nb\r\n",
		"a\r\n\x00.\r\nb\r\n.\r\n": "a\r\n.\r\nb\r\n",
	} {
		srv := smtptest.NewServer(t, &smtpserver.Server{BareBytes: smtpserver.BareNormalize})
		smtptest.Talk(t, srv.Addr, send("X: y\r\n\r\n"+raw, "250"))
		if got := srv.Inbox.Next(t).Text; got != "X: y\r\n\r\n"+want {
			t.Errorf("%q became %q, want %q", raw, got, want)
		}
		if n := srv.Inbox.Len(); n != 0 {
			t.Errorf("%q: %d more messages", raw, n)
		}
	}
}

// Input that comes before a reply that the client must wait for is refused.
func TestEarlyInput(t *testing.T) {
	for name, script := range map[string]string{
		"before the reply to EHLO": `
			S: 220
			C: EHLO client.example
			C: MAIL FROM:<a@example.com>
			S: 554 5.5.0
			EOF`,
		"before the reply to DATA": `
			S: 220
			C: EHLO client.example
			S: 250
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.com>
			C: DATA
			C: Subject: x
			S: 250
			S: 250
			S: 554 5.5.0
			EOF`,
		"before the banner": `
			C: EHLO client.example
			S: 554 5.5.0
			EOF`,
	} {
		t.Run(name, func(t *testing.T) {
			// The delay makes sure that the client is early.
			srv := smtptest.NewServer(t, &smtpserver.Server{BannerDelay: 20e6})
			smtptest.Talk(t, srv.Addr, script)
		})
	}
	t.Run("allowed", func(t *testing.T) {
		srv := smtptest.NewServer(t, &smtpserver.Server{AllowEarlyInput: true})
		smtptest.Talk(t, srv.Addr, `
			C: EHLO client.example
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.com>
			C: DATA
			C: Subject: x
			C: .
			C: QUIT
			S: 220
			S: 250
			S: 250
			S: 250
			S: 354
			S: 250
			S: 221
			EOF
		`)
		if got := srv.Inbox.Next(t).Text; got != "Subject: x\r\n" {
			t.Errorf("content %q", got)
		}
	})
}
