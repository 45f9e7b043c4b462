package queue_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// Content that cannot be read any more does not keep the sender from being
// told.
func TestDamagedContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Store = damagingStore{q.Store.(*memory.Store)} })
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if d, is := m.Content.(damaged); is {
				d.bad.Store(true)
				return says(550, smtp.EnhancedCode{5, 6, 0}, "no")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		for _, from := range []string{"alice@example.com", ""} {
			m := message(from, "bob@example.net")
			if err := w.q.Submit(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		if got := actions(t, w.took()); !slices.Equal(got, []string{"bob@example.net failed 5.6.0"}) {
			t.Errorf("%q", got)
		}
		if ids := w.ids(queue.Filter{Status: queue.MessageBad}); len(ids) != 1 || w.stored() != 1 {
			t.Errorf("bad mail %q, %d stored", ids, w.stored())
		}
	})
}

// A message that turns out damaged when it is to be delivered is not tried
// for days: its sender is told at once, or it is kept as bad mail. Its hop is
// not to blame.
func TestDamagedAtDelivery(t *testing.T) {
	for _, outcome := range []queue.Outcome{queue.Deferred, queue.Unreachable} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(q *queue.Queue) { q.Store = damagingStore{q.Store.(*memory.Store)} })
			w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
				d, is := m.Content.(damaged)
				if !is {
					return ok
				}
				d.bad.Store(true)
				_, err := m.Content.WriteTo(io.Discard)
				return queue.Result{Outcome: outcome, Err: fmt.Errorf("content: %w", err)}
			}
			w.run()
			defer w.shutdown()
			synctest.Wait()
			for _, from := range []string{"alice@example.com", ""} {
				if err := w.q.Submit(context.Background(), message(from, "bob@example.net")); err != nil {
					t.Fatal(err)
				}
			}
			c := w.took()
			if got := actions(t, c); len(c) != 3 || !slices.Equal(got, []string{"bob@example.net failed 5.3.0"}) {
				t.Errorf("outcome %d: %v, reports %q", outcome, c, got)
			}
			if ids := w.ids(queue.Filter{Status: queue.MessageBad}); len(ids) != 1 || w.stored() != 1 {
				t.Errorf("outcome %d: bad mail %q, %d stored", outcome, ids, w.stored())
			}
		})
	}
}

// A damagingStore hands content out that will be damaged.
type damagingStore struct{ *memory.Store }

func (s damagingStore) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	err := s.Store.Put(ctx, m, sch)
	if !m.System {
		m.Content = damaged{new(atomic.Bool)}
	}
	return err
}

// damaged is content that cannot be read any more from some moment on.
type damaged struct{ bad *atomic.Bool }

const undamaged = "Subject: x\r\n\r\nx\r\n"

func (d damaged) Size() int64 { return int64(len(undamaged)) }

func (d damaged) ReadAt(b []byte, off int64) (int, error) {
	if d.bad.Load() {
		return 0, queue.ErrDamaged
	}
	return strings.NewReader(undamaged).ReadAt(b, off)
}

func (d damaged) WriteTo(w io.Writer) (int64, error) {
	if d.bad.Load() {
		return 0, queue.ErrDamaged
	}
	n, err := io.WriteString(w, undamaged)
	return int64(n), err
}
