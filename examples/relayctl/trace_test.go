package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/policy/trace/pipetrace"
)

// An operator traces a sender, and stops that.
func TestTrace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "traces")
	sw := &pipetrace.Switch{New: func(sender string, d time.Duration) *pipetrace.Tracer {
		return &pipetrace.Tracer{Dir: dir, Sender: sender, Duration: d}
	}}
	t.Cleanup(sw.Stop)
	w := newWorld(t, func(c *console.Console) { c.Tracing = sw })
	w.do("trace").want(3, "no sender is traced")
	w.do("trace", "off").want(1, "No messages are traced now")
	w.do("trace", "on", "alice@example.com").want(4, "Trace the messages of alice@example.com: 1 sender", "-yes")
	if sw.Status().Sender != "" {
		t.Error("tracing runs without -yes")
	}
	w.do("trace", "on", "alice@example.com", "-for", "20m", "-yes", "-reason", "ticket 7").want(0, "Trace the messages of alice@example.com: done")
	if st := sw.Status(); st.Sender != "alice@example.com" || st.Until.Sub(st.Since).Round(time.Second) != 20*time.Minute {
		t.Errorf("%+v", st)
	}
	if out := w.do("trace").want(0).out; !strings.Contains(out, "alice@example.com") || !strings.Contains(out, "until 20") || !strings.Contains(out, dir) {
		t.Errorf("%s", out)
	}
	if doc := w.do("trace", "-json").want(0).json(); doc["running"] != true || doc["sender"] != "alice@example.com" {
		t.Errorf("%v", doc)
	}
	w.do("trace", "off", "-yes", "-reason", "found").want(0, "Stop the tracing of alice@example.com: done")
	w.do("trace").want(0, "ended: it was stopped")
	for _, wrong := range [][]string{{"on"}, {"on", ""}, {"off", "x"}, {"off", "-for", "1m"}, {"alice@example.com"}, {"-for", "1m"}} {
		w.do(append([]string{"trace"}, wrong...)...).want(2)
	}
	w.do("trace", "on", "alice", "-yes", "-reason", "x").want(1, "sender")
}

// A relay that cannot trace says so.
func TestNoTrace(t *testing.T) {
	w := newWorld(t, nil)
	w.do("trace").want(3, "cannot trace")
	w.do("trace", "on", "<>", "-yes", "-reason", "x").want(1, "cannot trace")
}
