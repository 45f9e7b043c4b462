package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// An operator pauses receiving and sending, and continues them. The
// first page shows both.
func TestPause(t *testing.T) {
	inWorld(t, &Console{Authorize: asOperator}, func(w *world) {
		w.token = ""
		submit := func() (code int) {
			m := mail("bob@ok.example")
			m.From, m.Content = "alice@example.com", queue.String("Subject: x\r\n\r\nx\r\n")
			err := w.queue.Submit(context.Background(), m)
			synctest.Wait()
			var reply *smtp.SMTPError
			if errors.As(err, &reply) {
				return reply.Code
			}
			return 0
		}
		delivered := func() int64 { return w.queue.Counters().Recipients["delivered"] }
		state := func() (v overview) {
			w.get("/overview", &v)
			return v
		}
		if v := state(); v.Paused || v.Frozen {
			t.Errorf("%+v", v)
		}
		var o outcome
		w.post("/pause", 200, form("what", "sending"), &o)
		if o.Done || o.Action != "Pause sending" || state().Paused {
			t.Errorf("%+v", o)
		}
		w.post("/pause", 200, form("what", "sending", "confirm", "yes", "reason", "the network is repaired"), nil)
		if page := w.page("/overview", 200); submit() != 0 || delivered() != 0 || !state().Paused || !strings.Contains(page, "Send again") {
			t.Errorf("sending is not paused: %d delivered\n%s", delivered(), page)
		}
		w.post("/pause", 409, form("what", "sending"), nil)
		w.post("/continue", 200, form("what", "sending", "confirm", "yes", "reason", "done"), nil)
		if delivered() != 1 || state().Paused {
			t.Errorf("%d delivered", delivered())
		}
		w.post("/pause", 200, form("what", "receiving", "confirm", "yes", "reason", "the queue moves"), nil)
		if code := submit(); code != 451 || !state().Frozen {
			t.Errorf("receiving is not paused: %d", code)
		}
		w.post("/continue", 409, form("what", "sending"), nil)
		w.post("/continue", 200, form("what", "receiving", "confirm", "yes", "reason", "done"), nil)
		if code := submit(); code != 0 || delivered() != 2 {
			t.Errorf("%d, %d delivered", code, delivered())
		}
		w.post("/pause", 400, form("what", "all"), nil)
		w.post("/continue", 400, form(), nil)
		var log auditView
		w.get("/audit", &log)
		if e := log.Entries[len(log.Entries)-1]; e.Action != "Pause sending" || e.Name != "oscar" || e.Reason != "the network is repaired" {
			t.Errorf("%+v", e)
		}
	})
	inWorld(t, &Console{Authorize: asViewer}, func(w *world) {
		w.token = ""
		if page := w.page("/overview", 200); strings.Contains(page, `action="/pause"`) {
			t.Error(page)
		}
		w.post("/pause", http.StatusForbidden, form("what", "sending", "confirm", "yes", "reason", "x"), nil)
	})
}
