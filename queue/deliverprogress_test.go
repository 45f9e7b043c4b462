package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A reporting is a Deliverer that is a function. It sends all mail to one hop.
type reporting struct {
	*world
	f func(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) []queue.Result
}

// Route implements queue.Deliverer.
func (d *reporting) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "out", Destination: "hub"}, nil
}

// Deliver implements queue.Deliverer.
func (d *reporting) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	if m.System {
		return d.world.Deliver(ctx, hop, m, rcpts)
	}
	return d.f(ctx, m, rcpts)
}

// states returns the states of a message's recipients in the store.
func (w *world) states(id string) []queue.Status {
	w.t.Helper()
	m, err := w.store.Get(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	var s []queue.Status
	for _, r := range m.Recipients {
		s = append(s, r.Status)
	}
	return s
}

// laterAll returns a temporary failure for each recipient.
func laterAll(rcpts []*queue.Recipient) []queue.Result {
	return slices.Repeat([]queue.Result{says(450, smtp.EnhancedCode{4, 2, 0}, "Later")}, len(rcpts))
}

// Progress records what was delivered while Deliver continues. A queue that finds the
// message after a crash does not deliver to these recipients again.
func TestProgressIsRecordedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &vanishing{}
		w := newWorld(t, nil)
		store.Store = w.store
		w.q.Store = store
		w.q.Deliverer = &reporting{w, func(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
			queue.Progress(ctx, rcpts[1:2], []queue.Result{ok})
			queue.Progress(ctx, rcpts[2:], []queue.Result{says(550, smtp.EnhancedCode{5, 1, 1}, "No"), ok})
			<-ctx.Done()
			return laterAll(rcpts)
		}}
		w.run()
		synctest.Wait()
		m := w.submit("alice@example.com", "a@example.net", "b@example.net", "c@example.net", "d@example.net")
		w.after(time.Minute)
		want := []queue.Status{queue.Waiting, queue.Delivered, queue.Waiting, queue.Delivered}
		if got := w.states(m.ID); !slices.Equal(got, want) {
			t.Errorf("in the store: %v, want %v", got, want)
		}
		store.gone.Store(true) // the process dies
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		w.q.Shutdown(ctx)
		<-w.ended
		again := newWorld(t, func(q *queue.Queue) { q.Store = w.store }).run()
		defer again.shutdown()
		again.after(time.Hour) // the lease of the first
		if c := again.took(); len(c) != 1 || strings.Join(c[0].rcpts, " ") != "a@example.net c@example.net" {
			t.Errorf("after the crash: %v, want one delivery, to a and c", c)
		}
	})
}

// Whatever Deliver returns or does later, a success that was reported stays.
func TestProgressIsFinal(t *testing.T) {
	stay := func(ctx context.Context, rcpts []*queue.Recipient) {
		queue.Progress(ctx, rcpts[:1], []queue.Result{ok})
	}
	for name, f := range map[string]func(ctx context.Context, rcpts []*queue.Recipient) []queue.Result{
		"another result": func(ctx context.Context, rcpts []*queue.Recipient) []queue.Result {
			stay(ctx, rcpts)
			return laterAll(rcpts)
		},
		"too few results": func(ctx context.Context, rcpts []*queue.Recipient) []queue.Result { stay(ctx, rcpts); return nil },
		"a panic":         func(ctx context.Context, rcpts []*queue.Recipient) []queue.Result { stay(ctx, rcpts); panic("a fault") },
		"unreachable": func(ctx context.Context, rcpts []*queue.Recipient) []queue.Result {
			stay(ctx, rcpts)
			return slices.Repeat([]queue.Result{refused}, len(rcpts))
		},
		"busy": func(ctx context.Context, rcpts []*queue.Recipient) []queue.Result {
			stay(ctx, rcpts)
			return slices.Repeat([]queue.Result{{Outcome: queue.Busy, Addr: "192.0.2.1:25"}}, len(rcpts))
		},
		"reported twice": func(ctx context.Context, rcpts []*queue.Recipient) []queue.Result {
			stay(ctx, rcpts)
			stay(ctx, rcpts)
			return laterAll(rcpts)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				var tried []string
				w.q.Deliverer = &reporting{w, func(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
					for _, r := range rcpts {
						tried = append(tried, r.Addr)
					}
					if len(tried) > 2 {
						return slices.Repeat([]queue.Result{ok}, len(rcpts))
					}
					return f(ctx, rcpts)
				}}
				w.run()
				defer w.shutdown()
				synctest.Wait()
				w.submit("alice@example.com", "a@example.net", "b@example.net")
				w.after(2 * time.Hour)
				if got := strings.Join(tried, " "); got != "a@example.net b@example.net b@example.net" || w.stored() != 0 {
					t.Errorf("attempts: %s; %d messages left", got, w.stored())
				}
			})
		})
	}
}

// Progress for recipients of another call, after the call, or with a single recipient.
func TestProgressElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var first context.Context
		var attempts atomic.Int32
		w.q.Deliverer = &reporting{w, func(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
			n := attempts.Add(1)
			stranger := *rcpts[0]
			queue.Progress(ctx, []*queue.Recipient{&stranger, nil}, []queue.Result{ok, ok}) // not of this call
			if first == nil {
				first = ctx
			} else {
				queue.Progress(first, rcpts, []queue.Result{ok}) // that call has ended
			}
			if n == 4 {
				queue.Progress(ctx, rcpts, []queue.Result{ok})
			}
			return laterAll(rcpts)
		}}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := w.submit("alice@example.com", "a@example.net")
		w.after(25 * time.Minute)
		if got := w.states(m.ID); attempts.Load() != 3 || got[0] != queue.Waiting {
			t.Fatalf("%d attempts, %v; want 3, waiting", attempts.Load(), got)
		}
		w.after(time.Hour)
		if attempts.Load() != 4 || w.stored() != 0 {
			t.Errorf("%d attempts, %d messages left", attempts.Load(), w.stored())
		}
	})
	queue.Progress(context.Background(), queue.Rcpt("a@example.net"), []queue.Result{ok}) // no call
}

// Each recipient is in one event and counts once. The report for NOTIFY=SUCCESS is sent
// when the attempt has ended.
func TestProgressEventsAndReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.q.Deliverer = &reporting{w, func(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
			time.Sleep(time.Second)
			queue.Progress(ctx, rcpts[:1], []queue.Result{ok})
			time.Sleep(time.Minute)
			return []queue.Result{ok, says(450, smtp.EnhancedCode{4, 2, 0}, "Later"), ok}[:len(rcpts)]
		}}
		events := w.q.Subscribe(100)
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := message("alice@example.com", "a@example.net", "b@example.net", "c@example.net")
		m.Recipients[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifySuccess}
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		w.after(2 * time.Minute)
		events.Close()
		var got []string
		for e := range events.C {
			if !e.System && (e.Kind == queue.EventSend || e.Kind == queue.EventDefer) {
				got = append(got, fmt.Sprint(e.Kind, " ", e.Recipients[0].Addr, " ", len(e.Recipients), " ", e.Took))
			}
		}
		want := fmt.Sprint([]string{"SEND a@example.net 1 1s", "SEND c@example.net 1 1m1s", "DEFER b@example.net 1 1m1s"})
		if fmt.Sprint(got) != want {
			t.Errorf("events %v, want %v", got, want)
		}
		info, err := w.q.Queues(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range info {
			if i.Hop.Connector == "out" && i.Hop.Destination == "hub" && (i.Counts.Attempts != 2 || i.Counts.Delivered != 3 || i.Counts.Deferred != 1) {
				t.Errorf("counts %+v", i.Counts)
			}
		}
		if c := w.took(); len(c) != 1 || c[0].at != 61*time.Second || !strings.Contains(c[0].text, "a@example.net") {
			t.Errorf("reports: %v", c)
		}
	})
}
