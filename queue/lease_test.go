package queue_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// If a queue process dies, another queue delivers its messages when their
// leases have expired, and not before.
func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		first := hanging{w}
		first.q.Deliverer = first
		ctx, vanish := context.WithCancel(context.Background())
		cut := &cutStore{Store: w.store}
		first.q.Store = cut
		go func() { w.ended <- first.q.Run(ctx) }()
		synctest.Wait()
		w.submit("alice@example.com", "bob@example.net")
		w.after(time.Hour) // it renews its lease in this time
		second := newWorld(t, func(q *queue.Queue) { q.Store = w.store }).run()
		defer second.shutdown()
		second.after(time.Hour)
		if c := second.took(); len(c) != 0 {
			t.Fatalf("delivered although the first has leased it: %v", c)
		}
		cut.off.Store(true)
		vanish()
		if err := <-w.ended; err != nil {
			t.Error(err)
		}
		second.after(12 * time.Minute)
		if c := second.took(); len(c) != 1 {
			t.Errorf("%v", c)
		}
	})
}

// A cutStore is a store that its node can no longer reach.
type cutStore struct {
	*memory.Store
	off atomic.Bool
}

func (s *cutStore) Update(ctx context.Context, owner string, m *queue.Message, sch queue.Schedule) error {
	if s.off.Load() {
		return io.ErrUnexpectedEOF
	}
	return s.Store.Update(ctx, owner, m, sch)
}

// A queue process dies after it has stored the report of a failure and before
// it records the failure. The report is safe, and the next queue does not send
// a second one while the first one waits.
func TestReportBeforeRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		cut := &cutStore{Store: w.store}
		w.q.Store = cut
		refuse := func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "example.net" {
				return says(550, smtp.EnhancedCode{5, 1, 1}, "No such user")
			}
			return ok
		}
		w.deliver = refuse
		ctx, vanish := context.WithCancel(context.Background())
		go func() { w.ended <- w.q.Run(ctx) }()
		synctest.Wait()
		senders := queue.NextHop{Connector: "out", Destination: "example.com"}
		suspend(t, w.q, senders) // the report stays in the store
		cut.off.Store(true)
		w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		if w.stored() != 2 {
			t.Fatalf("%d stored, want the message and the report", w.stored())
		}
		vanish()
		<-w.ended

		second := newWorld(t, func(q *queue.Queue) { q.Store = w.store })
		second.deliver = refuse
		suspend(t, second.q, senders)
		second.run()
		defer second.shutdown()
		second.after(time.Hour)
		lift(t, second.q, senders)
		c := second.took()
		if got := actions(t, c); len(c) != 2 || len(got) != 1 || w.stored() != 0 {
			t.Errorf("%v: reports %q, %d stored; want one more attempt and one report", c, got, w.stored())
		}
	})
}

func (s *cutStore) Remove(ctx context.Context, owner, id string) error {
	if s.off.Load() {
		return io.ErrUnexpectedEOF
	}
	return s.Store.Remove(ctx, owner, id)
}
