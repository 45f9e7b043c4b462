package smtpserver_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// While memory is short, the body of a message goes to a file. If other sessions
// release memory after the server has read the header, and before it opens the
// file, the body stays in memory, and no part of it is lost.
func TestMemoryReleasedAfterTheHeader(t *testing.T) {
	inbox := smtptest.NewInbox()
	var first *raw
	srv := &smtpserver.Server{Handler: inbox, Limits: smtpserver.Limits{TotalMemory: 8 << 10}}
	srv.Agents = []smtpserver.Agent{{EndOfHeaders: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if m.Header.Get("Subject") == "second" {
			first.Close()
			time.Sleep(time.Second)
			if n := smtpserver.ContentMemory(s.Server()); n > 8<<10 {
				t.Errorf("%d bytes are still in memory", n)
			}
		}
		return nil
	}}}
	text := "Subject: second\r\n\r\n" + strings.Repeat("text\r\n", 100)
	inBubble(t, srv, func(dial func() *raw) {
		first = dial()
		first.greet()
		first.begin()
		first.send("Subject: " + strings.Repeat("x", 10<<10) + "\r\n\r\nbody\r\n")
		second := dial()
		second.greet()
		second.begin()
		second.send(text + ".\r\n")
		second.expect("250")
	})
	if m := inbox.Next(t); m.Text != text {
		t.Errorf("content %q", m.Text)
	}
}
