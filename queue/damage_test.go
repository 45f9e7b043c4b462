package queue_test

import (
	"context"
	"errors"
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

// If the content cannot be read, the sender still gets a report.
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

// A message that is found damaged at delivery is not retried for days: its
// sender gets a report at once, or it becomes bad mail. Its hop does not count
// as unreachable.
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

// A damagingStore returns content that will be damaged later.
type damagingStore struct{ *memory.Store }

func (s damagingStore) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	err := s.Store.Put(ctx, m, sch)
	if !m.System {
		m.Content = damaged{new(atomic.Bool)}
	}
	return err
}

// A damaged content cannot be read after some moment.
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

// A damaged message that is set aside does not keep operators and the removal
// of old messages from the other messages.
func TestDamagedMessageIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreadable{Store: new(memory.Store)}
		w := newWorld(t, func(q *queue.Queue) { q.Store = store })
		w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
			return says(451, smtp.EnhancedCode{4, 0, 0}, "Not now")
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		first := w.submit("alice@example.com", "bob@example.net")
		second := w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		w.do(queue.Filter{}, queue.Suspend(), 2)
		store.id = first.ID
		if ids := w.ids(queue.Filter{}); !slices.Equal(ids, []string{second.ID}) {
			t.Errorf("listed %q, want %q", ids, second.ID)
		}
		w.do(queue.Filter{Status: queue.MessageSuspended}, queue.Resume(), 1)
		if _, err := w.q.Message(context.Background(), first.ID); !errors.Is(err, queue.ErrDamaged) {
			t.Errorf("asked for by name: %v, want ErrDamaged", err)
		}
	})
}

// An unreadable store cannot read one of its messages.
type unreadable struct {
	queue.Store
	id string
}

func (s *unreadable) Get(ctx context.Context, id string) (*queue.Message, error) {
	if id == s.id {
		return nil, queue.ErrDamaged
	}
	return s.Store.Get(ctx, id)
}
