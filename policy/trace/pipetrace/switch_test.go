package pipetrace

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// newSwitch returns a Switch that writes to dir.
func newSwitch(dir string, log *slog.Logger) *Switch {
	return &Switch{Logger: log, New: func(sender string, d time.Duration) *Tracer { return &Tracer{Dir: dir, Sender: sender, Duration: d} }}
}

// traced returns the number of messages with a folder.
func traced(t *testing.T, dir string) int {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(dir, "MessageSnapshots", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(folders)
}

// A message is traced if tracing runs, also on a session that is older.
func TestSwitch(t *testing.T) {
	dir := t.TempDir()
	sw := newSwitch(dir, nil)
	c := agenttest.Start(t, sw.Wrap([]smtpserver.Agent{adds("a", true, true)})...).Dial(t)
	send := func(from string, want int) {
		t.Helper()
		if code, text := c.Send(from, to, mail); code != 250 {
			t.Fatal(code, text)
		}
		if n := traced(t, dir); n != want {
			t.Errorf("%d messages are traced, want %d", n, want)
		}
	}
	send("david@example.com", 0)
	if err := sw.Start("david@example.com", 0); err != nil {
		t.Fatal(err)
	}
	send("mallory@example.com", 0)
	send("david@example.com", 1)
	files := snapshots(t, dir)
	if len(files) != 5 || files["Original.eml"][1] != mail || files["SmtpReceive0004.eml"][0] != "OnEndOfData,a" {
		t.Errorf("snapshots %q", files)
	}
	if st := sw.Status(); st.Sender != "david@example.com" || st.Dir != dir || st.Messages != 1 || st.Bytes == 0 || st.Ended != "" || st.Until.Sub(st.Since) < 59*time.Minute {
		t.Errorf("%+v", st)
	}
	if err := sw.Start("<>", 0); err != nil { // instead of the other
		t.Fatal(err)
	}
	send("david@example.com", 1)
	send("", 2)
	sw.Stop()
	send("", 2)
	if st := sw.Status(); st.Sender != "<>" || st.Ended != "it was stopped" {
		t.Errorf("%+v", st)
	}
}

// A message whose header was received before the start is not traced: its snapshots
// would not be complete.
func TestSwitchInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	sw := newSwitch(dir, nil)
	during := true
	begin := smtpserver.Agent{Name: "begin", EndOfHeaders: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
		if during {
			return sw.Start("david@example.com", 0)
		}
		sw.Stop()
		return nil
	}}
	c := agenttest.Start(t, sw.Wrap([]smtpserver.Agent{begin, adds("a", true, true)})...).Dial(t)
	c.Send("david@example.com", to, mail)
	if n := traced(t, dir); n != 0 {
		t.Errorf("%d messages are traced", n)
	}
	during = false // a message that began is not written to the end
	c.Send("david@example.com", to, mail)
	if files := snapshots(t, dir); files["SmtpReceive0001.eml"][0] != "OnEndOfHeaders,Original" || files["SmtpReceive0002.eml"][0] != "" {
		t.Errorf("snapshots %q", files)
	}
}

// Hooks and the router use the same folder, while tracing runs.
func TestSwitchHooks(t *testing.T) {
	dir := t.TempDir()
	sw := newSwitch(dir, nil)
	hooks := sw.WrapHooks([]queue.Hook{{Name: "h", Submitted: func(_ context.Context, m *queue.Message) error { m.Content = queue.String("changed"); return nil }}})
	routed, far := sw.WrapRouted("router", nil), queue.NextHop{Connector: "far"}
	twice := sw.WrapRouted("twice", func(context.Context, *queue.Message, *queue.Recipient, queue.NextHop) (queue.NextHop, error) {
		return far, nil
	})
	run := func(id string) {
		t.Helper()
		m := &queue.Message{ID: id, From: "david@example.com", Recipients: queue.Rcpt("x@example.net"), Content: queue.String(mail)}
		if err := hooks[0].Submitted(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if hop, err := routed(t.Context(), m, m.Recipients[0], far); hop != far || err != nil {
			t.Errorf("routed to %v, %v", hop, err)
		}
		if hop, err := twice(t.Context(), m, m.Recipients[0], queue.NextHop{}); hop != far || err != nil {
			t.Errorf("routed to %v, %v", hop, err)
		}
	}
	run("1")
	if err := sw.Start("david@example.com", 0); err != nil {
		t.Fatal(err)
	}
	run("2")
	sw.Stop()
	run("3")
	files := snapshots(t, dir)
	for name, want := range map[string]string{"Routing0001.eml": "OnSubmittedMessage,Original", "Routing0002.eml": "OnSubmittedMessage,h",
		"Routing0003.eml": "OnRoutedMessage,Original", "Routing0004.eml": "OnRoutedMessage,Original", "Routing0005.eml": "OnRoutedMessage,twice"} {
		if files[name][0] != want {
			t.Errorf("%s: %q, want %q", name, files[name][0], want)
		}
	}
	if len(files) != 5 {
		t.Errorf("%d files", len(files))
	}
}

// Tracing ends by itself, and the log has a line when that happens.
func TestSwitchEnds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		sw := newSwitch(dir, slog.New(slog.NewTextHandler(&log, nil)))
		if err := sw.Start("david@example.com", time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if sw.current.Load() != nil || sw.Status().Ended != "Duration" || strings.Count(log.String(), "pipeline tracing has ended") != 1 {
			t.Errorf("%+v\n%s", sw.Status(), log.String())
		}
		sw.Stop()
		if strings.Count(log.String(), "pipeline tracing has ended") != 1 {
			t.Errorf("it ended twice\n%s", log.String())
		}
	})
}

// Start returns an error for settings that cannot work, and what runs continues.
func TestSwitchCannotStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "old"), make([]byte, 200), 0o600); err != nil {
		t.Fatal(err)
	}
	full := false
	sw := &Switch{New: func(sender string, d time.Duration) *Tracer {
		tr := &Tracer{Dir: dir, Sender: sender, Duration: d}
		if full {
			tr.MaxDir = 100
		}
		return tr
	}}
	if err := sw.Start("david@example.com", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := sw.Start("david", time.Hour); err == nil || !strings.Contains(err.Error(), "Tracer.Sender") {
		t.Errorf("%v", err)
	}
	full = true
	if err := sw.Start("bob@example.com", time.Hour); err == nil || !strings.Contains(err.Error(), "has 200 bytes already, and at most 100 are allowed") {
		t.Errorf("%v", err)
	}
	if st := sw.Status(); st.Sender != "david@example.com" || st.Ended != "" {
		t.Errorf("%+v", st)
	}
	sw.Stop()
}
