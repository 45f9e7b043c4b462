package console

import (
	"log/slog"
	"strings"
	"testing"
)

// An operator changes the level of a part. The audit log records it.
func TestLogLevels(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		levels := w.console.Gateway.Levels()
		levels["dns"].Set(slog.LevelInfo)
		var v logLevelsView
		w.get("/loglevels", &v)
		if len(v.Parts) != len(levels) || v.Parts[0] != (logLevel{"dns", "info"}) {
			t.Errorf("%+v", v)
		}
		if page := w.page("/loglevels", 200); !strings.Contains(page, `aria-label="Level of routing"`) || !strings.Contains(page, "<option selected>info") {
			t.Error(page)
		}
		var o outcome
		w.post("/loglevels", 200, form("part", "dns", "level", "DEBUG"), &o)
		if o.Done || o.Action != "Log dns at debug" || levels["dns"].Level() != slog.LevelInfo {
			t.Errorf("%+v", o)
		}
		w.post("/loglevels", 200, form("part", "dns", "level", "DEBUG", "confirm", "yes", "reason", "the lookups are slow"), &o)
		if !o.Done || levels["dns"].Level() != slog.LevelDebug {
			t.Errorf("%+v", o)
		}
		var log auditView
		w.get("/audit", &log)
		if e := log.Entries[0]; e.Action != "Log dns at debug" || e.Reason != "the lookups are slow" || e.Result != "done" {
			t.Errorf("%+v", e)
		}
		for _, f := range [][]string{{"part", "dns"}, {"level", "info"}, {"part", "x", "level", "info"}, {"part", "dns", "level", "loud"}, {"part", "dns", "level", "info", "all", "yes"}} {
			w.post("/loglevels", 400, form(f...), nil)
		}
	})
	inWorld(t, &Console{Authorize: asViewer}, func(w *world) {
		w.token = ""
		if page := w.page("/loglevels", 200); !strings.Contains(page, "routing") || strings.Contains(page, "<select") {
			t.Error(page)
		}
		w.post("/loglevels", 403, form("part", "dns", "level", "debug", "confirm", "yes", "reason", "x"), nil)
	})
}
