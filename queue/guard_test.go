package queue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// Any function that the application supplies may panic at any message, also in
// a worker. Only its answer is lost; the process and the message continue.
func TestPanics(t *testing.T) {
	system := func(m *queue.Message) {
		if m.System {
			panic("a fault")
		}
	}
	for _, tc := range []struct {
		name string
		set  func(*world)
		left int // messages in the end: bad mail, one for each failure that could not be reported
	}{
		{"a hook, at a report", func(w *world) {
			w.q.Hooks = []queue.Hook{{Name: "h", Submitted: func(_ context.Context, m *queue.Message) error { system(m); return nil }}}
		}, 2},
		{"a hook that leaves nonsense", func(w *world) {
			w.q.Hooks = []queue.Hook{{Name: "h", Resolved: func(_ context.Context, m *queue.Message) error {
				if m.System {
					m.ID, m.Content, m.Recipients = "another", nil, append(m.Recipients, nil)
				}
				return nil
			}}}
		}, 2},
		{"Reports.Texts", func(w *world) {
			w.q.Reports.Texts = func(*queue.Message) *dsn.Texts { panic("a fault") }
		}, 0},
		{"BadMail", func(w *world) {
			w.q.BadMail = func(context.Context, *queue.Message) error { panic("a fault") }
			w.q.Hooks = []queue.Hook{{Name: "h", Submitted: func(_ context.Context, m *queue.Message) error {
				if m.System {
					return &smtp.SMTPError{Code: 550, Message: "No reports here"}
				}
				return nil
			}}}
		}, 1},
		{"HopLimits", func(w *world) {
			w.q.HopLimits = func(queue.NextHop) queue.HopLimits { panic("a fault") }
		}, 0},
		{"Pace", func(w *world) { w.q.Deliverer = panickyPacer{w} }, 0},
		{"RetryPolicy", func(w *world) { w.q.Retry = panickyRetry{} }, 0},
		{"an error that is a nil pointer", func(w *world) {
			deliver := w.deliver
			w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
				res := deliver(hop, m, r)
				res.Err = (*smtp.SMTPError)(nil)
				return res
			}
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
					switch hop.Destination {
					case "refuses.example":
						return says(550, smtp.EnhancedCode{5, 1, 1}, "No such user")
					case "defers.example":
						return says(451, smtp.EnhancedCode{4, 0, 0}, "Not now")
					}
					return ok
				}
				tc.set(w)
				w.run()
				defer w.shutdown()
				synctest.Wait()
				w.submit("alice@example.com", "bob@refuses.example", "bob@defers.example", "bob@takes.example")
				w.after(5 * 24 * time.Hour)
				took := 0
				for _, c := range w.took() {
					if c.hop == "takes.example" {
						took++
					}
				}
				if took != 1 || w.stored() != tc.left {
					t.Errorf("delivered %d times, %d messages left", took, w.stored())
				}
			})
		})
	}
}

type panickyPacer struct{ *world }

func (panickyPacer) Pace(queue.NextHop) queue.Pace { panic("a fault") }

type panickyRetry struct{}

func (panickyRetry) Wait(int, *queue.Result) time.Duration { panic("a fault") }

func (panickyRetry) Lifetime(*queue.Message) (notice, expiry time.Duration) { panic("a fault") }

// A message whose content panics when it is read is refused, and its reserved
// place is free again.
func TestContentPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Limits.Active = 1 })
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := message("alice@example.com", "bob@example.net")
		m.Content = panicky{m.Content}
		var se *smtp.SMTPError
		if err := w.q.Submit(context.Background(), m); !errors.As(err, &se) || se.Code != 451 {
			t.Errorf("Submit: %v, want a 451", err)
		}
		w.submit("alice@example.com", "bob@example.net")
		if c := w.took(); len(c) != 1 {
			t.Errorf("%v, want the next message", c)
		}
	})
}

type panicky struct{ queue.Content }

func (panicky) ReadAt([]byte, int64) (int, error) { panic("a fault") }
