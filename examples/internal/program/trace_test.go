package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// message sends a message and awaits it at the server.
func (w *world) message(from, subject string) {
	w.t.Helper()
	smtptest.Talk(w.t, w.listen, fmt.Sprintf("S: 220\nC: HELO client.test\nS: 250\nC: MAIL FROM:<%s>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: %s\nC:\nC: .\nS: 250\nC: QUIT\nS: 221", from, subject))
	if m := w.server.Inbox.Next(w.t); !strings.Contains(m.Text, "Subject: "+subject) {
		w.t.Errorf("want %q, the server received\n%s", subject, m.Text)
	}
}

// traces returns the subjects of the messages that were traced, each with the events of
// its snapshots.
func traces(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "MessageSnapshots", "*", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	events := make(map[string][]string) // by subject
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		field := func(name string) string {
			_, rest, _ := strings.Cut(string(text), "\n"+name+": ")
			value, _, _ := strings.Cut(rest, "\r\n")
			return value
		}
		event, _, _ := strings.Cut(field("X-MessageSnapshot-Source"), ",")
		if subject := field("Subject"); !slices.Contains(events[subject], event) {
			events[subject] = append(events[subject], event)
		}
	}
	for subject, of := range events {
		slices.Sort(of)
		all = append(all, subject+": "+strings.Join(of, " "))
	}
	slices.Sort(all)
	return all
}

// Tracing of one sender is started and stopped by the settings and SIGHUP, and by
// relayctl. The snapshots are of the reception and of the delivery, and of no other
// sender. A reload for another reason does not change what relayctl has started.
func TestTrace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "private", "socket")
	more := []string{"trace-dir: " + filepath.Join(dir, "traces"), "console-socket: " + socket, "console-audit: " + filepath.Join(dir, "audit")}
	w := newWorld(t, more...)
	relayctl := peers.Build(t, "../../relayctl")
	reloads := 0
	reload := func(more ...string) {
		t.Helper()
		w.configure("relay.example.com", more...)
		w.p.Signal(t, syscall.SIGHUP)
		reloads++
		peers.Await(t, "the reload", func() bool { return strings.Count(w.p.Log(), "msg=reloaded because=SIGHUP") == reloads })
	}
	ctl := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(relayctl, append([]string{"-socket", socket}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("relayctl %v: %v\n%s", args, err, out)
		}
	}
	var want []string
	sent := 0
	check := func(traced bool) {
		t.Helper()
		for _, from := range []string{"mallory@example.net", "David@example.net"} {
			sent++
			subject := fmt.Sprintf("message %02d", sent)
			w.message(from, subject)
			if traced && from != "mallory@example.net" {
				want = append(want, subject+": OnEndOfData OnEndOfHeaders OnRoutedMessage Original")
			}
		}
		if got := traces(t, filepath.Join(dir, "traces")); !slices.Equal(got, want) {
			t.Errorf("after message %d, the traces are %q, want %q", sent, got, want)
		}
	}
	check(false)
	reload(append(more, "trace-sender: david@example.net")...)
	check(true)
	reload(append(more, "trace-sender: david@example.net", "max-recipients: 50")...)
	check(true)
	reload(more...)
	check(false)
	ctl("trace", "on", "david@example.net", "-for", "10m", "-yes", "-reason", "ticket 7")
	check(true)
	reload(append(more, "max-recipients: 60")...)
	check(true)
	ctl("trace", "off", "-yes", "-reason", "found")
	check(false)
	w.p.Stop(t)
	if n := strings.Count(w.p.Log(), `msg="pipeline tracing starts" sender=david@example.net`); n != 2 {
		t.Errorf("tracing started %d times", n)
	}
	audit, err := filepath.Glob(filepath.Join(dir, "audit", "*"))
	if err != nil || len(audit) != 1 {
		t.Fatalf("%v, %v", audit, err)
	}
	if text, err := os.ReadFile(audit[0]); err != nil || !strings.Contains(string(text), "ticket 7") || !strings.Contains(string(text), "Stop the tracing of david@example.net") {
		t.Errorf("%v: the audit log is\n%s", err, text)
	}
}

// Tracing ends by itself: after a time, and when its files have a size. Wrong settings
// are errors.
func TestTraceEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t, "trace-dir: "+dir, "trace-sender: <>", "trace-size: 1")
	w.message("", "too much")
	w.logged(`msg="pipeline tracing has ended" why=MaxDir`)
	if got := traces(t, dir); len(got) > 0 {
		t.Errorf("traces %q", got)
	}
	w.configure("relay.example.com", "trace-dir: "+dir, "trace-sender: <>", "trace-duration: 1s")
	w.p.Signal(t, syscall.SIGHUP)
	w.logged(`msg="pipeline tracing has ended" why=Duration`)
	w.message("", "too late")
	if got := traces(t, dir); len(got) > 0 {
		t.Errorf("traces %q", got)
	}
	w.configure("relay.example.com", "trace-sender: david", "trace-duration: 1h")
	w.p.Signal(t, syscall.SIGHUP)
	w.logged(`trace-sender: \"david\": `)
	w.configure("relay.example.com", "trace-sender: david@example.net", "trace-duration: -1h")
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("trace-duration: is not more than 0s")
	w.p.Stop(t)
}
