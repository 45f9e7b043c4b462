package program

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// -protocol-log selects the format of the protocol logs, and -log-subjects what the
// tracking log has.
func TestLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "protocol-log: w3c", "log-subjects: false")
	smtptest.Talk(t, w.listen, "S: 220\nC: HELO client.test\nS: 250\nC: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: private\nC:\nC: .\nS: 250\nC: QUIT\nS: 221")
	w.server.Inbox.Next(t)
	w.p.Stop(t)
	logs := filepath.Join(filepath.Dir(w.config), "spool", "logs")
	for pattern, line := range map[string]string{"ex2*.log": " office relay.example.com ", "exsend2*.log": " SMTP "} {
		files, err := filepath.Glob(filepath.Join(logs, pattern))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		if text, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(text), line) {
			t.Errorf("%s has no %q: %s, %v", pattern, line, text, err)
		}
	}
	events := 0
	for e, err := range tracking.Search(filepath.Join(logs, "tracking"), tracking.Filter{}) {
		if err != nil || e.Columns["message-subject"] != "" {
			t.Errorf("%+v, %v", e, err)
		}
		events++
	}
	if events < 2 {
		t.Errorf("%d events", events)
	}
}

// By default there are protocol logs, and with -protocol-log none there are none.
func TestNoProtocolLog(t *testing.T) {
	p := &Program{Name: "office", New: func() Gateway { return new(office) }}
	for format, want := range map[string]bool{"exchange": true, "none": false} {
		relay, err := p.Assemble("-spool", t.TempDir(), "-hostname", "relay.example.com", "-server", "192.0.2.1", "-domains", writeFile(t, "example.com\n"), "-protocol-log", format)
		if err != nil {
			t.Fatal(err)
		}
		transport := relay.Queue.Deliverer.(*routing.Router).NewTransport("office")
		if got := relay.Listeners[0].Server.ProtocolLog != nil; got != want || (transport.ProtocolLog != nil) != want {
			t.Errorf("%s: receive %t, send %t", format, got, transport.ProtocolLog != nil)
		}
	}
}

// The limits of the log files are those of the settings.
func TestLogLimits(t *testing.T) {
	p := &Program{Name: "office", New: func() Gateway { return new(office) }}
	relay, err := p.Assemble("-spool", t.TempDir(), "-hostname", "relay.example.com", "-server", "192.0.2.1", "-domains", writeFile(t, "example.com\n"), "-log-age", "48h", "-log-size", "1M")
	if err != nil {
		t.Fatal(err)
	}
	if l := relay.Tracking; l.MaxAge.Hours() != 48 || l.MaxDir != 1<<20 || l.NoSubject {
		t.Errorf("%+v", l)
	}
	for _, wrong := range [][]string{{"-max-hops", "-1"}, {"-log-age", "-1h"}, {"-log-size", "0"}, {"-protocol-log", "iis"}} {
		args := append([]string{"-spool", t.TempDir(), "-hostname", "relay.example.com", "-server", "192.0.2.1", "-domains", writeFile(t, "example.com\n")}, wrong...)
		if _, err := p.Assemble(args...); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(wrong[0], "-")) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// -max-hops is the limit of each server.
func TestMaxHops(t *testing.T) {
	p := &Program{Name: "office", New: func() Gateway { return new(office) }}
	relay, err := p.Assemble("-spool", t.TempDir(), "-hostname", "relay.example.com", "-server", "192.0.2.1", "-domains", writeFile(t, "example.com\n"), "-max-hops", "15")
	if err != nil {
		t.Fatal(err)
	}
	srv := smtptest.NewServer(t, relay.Listeners[0].Server)
	message := "C: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\n" + strings.Repeat("C: Received: from a by b; Sat, 28 Nov 2026 11:00:00 +0000\n", 16) + "C:\nC: .\n"
	smtptest.Talk(t, srv.Addr, "S: 220\nC: HELO client.test\nS: 250\n"+message+"S: 554 5.4.6\nC: QUIT\nS: 221\n")
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
