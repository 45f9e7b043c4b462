package queue_test

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A success is recorded but not reported, because other recipients of the
// message are still in delivery. The queue that continues after a shutdown or
// crash reports it.
func TestSuccessIsReportedAfterRestart(t *testing.T) {
	for _, crash := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := &vanishing{Store: new(memory.Store)}
			w := newWorld(t, func(q *queue.Queue) { q.Store, q.Limits.Deliveries = store, 1 })
			hang := hanging{world: w}
			w.q.Deliverer = hangsAt{w, "slow.example", hang}
			w.run()
			synctest.Wait()
			m := message("alice@example.com", "bob@fast.example", "carol@slow.example", "dave@other.example")
			m.Recipients[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifySuccess}
			if err := w.q.Submit(context.Background(), m); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			store.gone.Store(crash)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			w.q.Shutdown(ctx)
			<-w.ended
			again := newWorld(t, func(q *queue.Queue) { q.Store = store.Store }).run()
			defer again.shutdown()
			again.after(time.Hour) // the lease of the one that crashed
			if got := actions(t, again.took()); !slices.Equal(got, []string{"bob@fast.example relayed 2.0.0"}) {
				t.Errorf("crash %v: reports %q", crash, got)
			}
			again.after(time.Hour)
			if c := again.took(); len(c) != 0 {
				t.Errorf("crash %v: afterwards %v", crash, c)
			}
		})
	}
}

// A success is reported even if a delay notice was sent before.
func TestSuccessAfterDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if time.Since(w.begun) < 13*time.Hour && !m.System || r.Addr == "carol@other.example" {
				return says(451, smtp.EnhancedCode{4, 0, 0}, "Not now")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := message("alice@example.com", "bob@example.net", "carol@other.example")
		m.Recipients[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyDelayed}
		m.Recipients[1].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyNever}
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		w.after(24 * time.Hour)
		if got, want := actions(t, w.took()), []string{"bob@example.net delayed 4.0.0", "bob@example.net relayed 2.0.0"}; !slices.Equal(got, want) {
			t.Errorf("reports %q, want %q", got, want)
		}
	})
}

// A hangsAt is a Deliverer that hangs at deliveries to one hop.
type hangsAt struct {
	*world
	hop  string
	hang hanging
}

func (h hangsAt) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	if hop.Destination == h.hop {
		return h.hang.Deliver(ctx, hop, m, rcpts)
	}
	return h.world.Deliver(ctx, hop, m, rcpts)
}

// A vanishing is a store that accepts no more records: the process of its queue
// has died.
type vanishing struct {
	queue.Store
	gone atomic.Bool
}

func (s *vanishing) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	if s.gone.Load() {
		return io.ErrUnexpectedEOF
	}
	return s.Store.Put(ctx, m, sch)
}

func (s *vanishing) Update(ctx context.Context, owner string, m *queue.Message, sch queue.Schedule) error {
	if s.gone.Load() {
		return io.ErrUnexpectedEOF
	}
	return s.Store.Update(ctx, owner, m, sch)
}
