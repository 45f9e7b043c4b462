package program

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// -pause stops sending and receiving, at the start and at a reload, until it changes.
func TestPause(t *testing.T) {
	t.Parallel()
	socket := "console-socket: " + filepath.Join(t.TempDir(), "private", "socket")
	w := newWorld(t, "pause: sending", socket)
	smtptest.Talk(t, w.listen, "S: 220\nC: HELO c.test\nS: 250\nC: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: waits\nC:\nC: .\nS: 250\nC: QUIT\nS: 221")
	if got := w.health(); got != "-pause is set: sending" {
		t.Errorf("the settings: %s", got)
	}
	w.configure("relay.example.com", "pause: all", socket)
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("pause=all")
	smtptest.Talk(t, w.listen, "S: 421 4.3.2 Receiving is paused, try again later\nEOF")
	if n := w.server.Inbox.Len(); n != 0 || strings.Contains(w.p.Log(), "queue: delivered") {
		t.Errorf("%d messages were sent\n%s", n, w.p.Log())
	}
	w.configure("relay.example.com", "pause: none", socket)
	w.p.Signal(t, syscall.SIGHUP)
	if m := w.server.Inbox.Next(t); !strings.Contains(m.Text, "Subject: waits") {
		t.Errorf("the server received\n%s", m.Text)
	}
	w.logged("the pause of the setting pause has ended")
	w.send("b@example.com", "250")
	if got := w.health(); got != "" {
		t.Errorf("the settings: %s", got)
	}

	// The console sees the same pause, and can end it.
	w.configure("relay.example.com", "pause: receiving", socket)
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("pause=receiving")
	relayctl := func(args ...string) {
		t.Helper()
		all := append([]string{"-socket", strings.TrimPrefix(socket, "console-socket: ")}, args...)
		if out, err := exec.Command(peers.Build(t, "../../relayctl"), all...).CombinedOutput(); err != nil {
			t.Fatalf("relayctl %v: %v\n%s", args, err, out)
		}
	}
	relayctl("continue", "-yes", "-reason", "tested", "receiving")
	w.send("b@example.com", "250")
	relayctl("pause", "-yes", "-reason", "tested", "receiving")
	smtptest.Talk(t, w.listen, "S: 421 4.3.2 Receiving is paused, try again later\nEOF")
	w.p.Stop(t)
}
