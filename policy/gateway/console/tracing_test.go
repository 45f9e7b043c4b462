package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/trace/pipetrace"
)

// tracingIn returns a Switch that writes to a folder.
func tracingIn(dir string, most int64) *pipetrace.Switch {
	return &pipetrace.Switch{New: func(sender string, d time.Duration) *pipetrace.Tracer {
		return &pipetrace.Tracer{Dir: dir, Sender: sender, Duration: d, MaxDir: most}
	}}
}

// An operator starts and stops tracing. The audit log records both.
func TestTracing(t *testing.T) {
	dir := t.TempDir()
	inWorld(t, &Console{Tracing: tracingIn(dir, 0)}, func(w *world) {
		var v tracingView
		if w.get("/tracing", &v); v != (tracingView{Available: true}) {
			t.Errorf("%+v", v)
		}
		if page := w.page("/tracing", 200); !strings.Contains(page, "No sender is traced.") {
			t.Error(page)
		}
		w.post("/tracing/stop", 409, form(), nil)
		var o outcome
		w.post("/tracing", 200, form("sender", "david@example.com"), &o)
		if o.Done || o.Action != "Trace the messages of david@example.com" || w.console.Tracing.Status().Sender != "" {
			t.Errorf("%+v", o)
		}
		w.post("/tracing", 200, form("sender", "david@example.com", "duration", "30m", "confirm", "yes", "reason", "ticket 7"), &o)
		st := w.console.Tracing.Status()
		if !o.Done || st.Sender != "david@example.com" || st.Until.Sub(st.Since) != 30*time.Minute {
			t.Errorf("%+v, %+v", o, st)
		}
		if w.get("/tracing", &v); !v.Running || v.Sender != "david@example.com" || v.Dir != dir {
			t.Errorf("%+v", v)
		}
		if page := w.page("/tracing", 200); !strings.Contains(page, "<button>Stop</button>") || !strings.Contains(page, "traced</td>") {
			t.Error(page)
		}
		w.post("/tracing/stop", 200, form("confirm", "yes", "reason", "found it"), &o)
		if st := w.console.Tracing.Status(); !o.Done || st.Ended == "" {
			t.Errorf("%+v, %+v", o, st)
		}
		if page := w.page("/tracing", 200); !strings.Contains(page, "ended: it was stopped") {
			t.Error(page)
		}
		var log auditView
		w.get("/audit", &log)
		if len(log.Entries) < 2 || log.Entries[1].Action != "Trace the messages of david@example.com" || log.Entries[1].Reason != "ticket 7" ||
			log.Entries[0].Action != "Stop the tracing of david@example.com" || log.Entries[0].Result != "done" {
			t.Errorf("%+v", log.Entries)
		}
		for _, f := range [][]string{{}, {"sender", "david"}, {"sender", "<>", "duration", "0s"}, {"sender", "<>", "duration", "169h"}, {"sender", "<>", "duration", "x"}} {
			w.post("/tracing", 400, form(f...), nil)
		}
	})
}

// Tracing that cannot start is refused, and so is tracing by a viewer.
func TestTracingRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "old"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	yes := func(more ...string) map[string][]string {
		return form(append(more, "confirm", "yes", "reason", "x")...)
	}
	inWorld(t, &Console{Tracing: tracingIn(dir, 50)}, func(w *world) { w.post("/tracing", 409, yes("sender", "<>"), nil) })
	inWorld(t, &Console{}, func(w *world) {
		w.post("/tracing", 409, yes("sender", "<>"), nil)
		w.post("/tracing/stop", 409, yes(), nil)
		if page := w.page("/tracing", 200); !strings.Contains(page, "This relay cannot trace messages.") {
			t.Error(page)
		}
	})
	inWorld(t, &Console{Tracing: tracingIn(dir, 0), Authorize: asViewer}, func(w *world) {
		w.token = ""
		if page := w.page("/tracing", 200); strings.Contains(page, "<form") && strings.Contains(page, "new-title") {
			t.Error(page)
		}
		w.post("/tracing", 403, yes("sender", "<>"), nil)
		w.post("/tracing/stop", 403, yes(), nil)
	})
}
