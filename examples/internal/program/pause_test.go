package program

import (
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// -pause stops sending and receiving, at the start and at a reload, until it changes.
func TestPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "pause: sending")
	smtptest.Talk(t, w.listen, "S: 220\nC: HELO c.test\nS: 250\nC: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: waits\nC:\nC: .\nS: 250\nC: QUIT\nS: 221")
	if got := w.health(); got != "-pause is set: sending" {
		t.Errorf("the settings: %s", got)
	}
	w.configure("relay.example.com", "pause: all")
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("pause=all")
	smtptest.Talk(t, w.listen, "S: 421 4.3.2 Receiving is paused, try again later\nEOF")
	if n := w.server.Inbox.Len(); n != 0 || strings.Contains(w.p.Log(), "queue: delivered") {
		t.Errorf("%d messages were sent\n%s", n, w.p.Log())
	}
	w.configure("relay.example.com", "pause: none")
	w.p.Signal(t, syscall.SIGHUP)
	if m := w.server.Inbox.Next(t); !strings.Contains(m.Text, "Subject: waits") {
		t.Errorf("the server received\n%s", m.Text)
	}
	w.send("b@example.com", "250")
	if got := w.health(); got != "" {
		t.Errorf("the settings: %s", got)
	}
	w.p.Stop(t)
}
