package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// An operation on a message in delivery is performed when the attempt has
// ended, if it still applies.
func TestOperationDuringDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			<-time.After(time.Minute)
			return greylist(hop, m, r)
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		waits := w.submit("alice@example.com", "bob@slow.example")
		removed := w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		w.do(queue.Filter{ID: waits.ID}, queue.Suspend(), 1)
		w.do(queue.Filter{ID: removed.ID}, queue.Remove(false), 1)
		if s := w.status(waits.ID); s != queue.MessagePendingSuspend {
			t.Errorf("status %v", s)
		}
		if s := w.status(removed.ID); s != queue.MessagePendingRemove {
			t.Errorf("status %v", s)
		}
		w.after(time.Hour)
		if s := w.status(waits.ID); s != queue.MessageSuspended || w.stored() != 1 {
			t.Errorf("status %v, %d stored", s, w.stored())
		}
		if c := w.took(); len(c) != 2 {
			t.Errorf("%v", c)
		}
	})
}

// A slowStore delays its next record on request.
type slowStore struct {
	*memory.Store
	slow    atomic.Bool
	writing chan bool // the record has begun
	write   chan bool // the record may end
}

func (s *slowStore) Update(ctx context.Context, owner string, m *queue.Message, sch queue.Schedule) error {
	if s.slow.CompareAndSwap(true, false) {
		s.writing <- true
		<-s.write
	}
	return s.Store.Update(ctx, owner, m, sch)
}

// An operation on a message whose last record is being written is not lost: it
// is performed afterwards.
func TestOperationDuringLastRecord(t *testing.T) {
	for _, test := range []struct {
		op      queue.Op
		left    queue.MessageStatus // 0: none
		reports int
		other   int // deliveries at the other hop
	}{
		{queue.Suspend(), queue.MessageSuspended, 0, 0},
		{queue.Remove(false), 0, 0, 0},
		{queue.Expire(), 0, 1, 0},
		{queue.Redirect(queue.NextHop{Destination: "other.example"}), 0, 0, 1},
	} {
		t.Run(test.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &slowStore{writing: make(chan bool), write: make(chan bool)}
				w := newWorld(t, func(q *queue.Queue) { q.Store = store })
				store.Store = w.store
				w.deliver = greylist
				w.run()
				defer w.shutdown()
				synctest.Wait()
				store.slow.Store(true)
				m := w.submit("alice@example.com", "bob@slow.example")
				<-store.writing
				w.took()
				done := make(chan int)
				go func() {
					n, err := w.q.Do(context.Background(), queue.Filter{ID: m.ID}, test.op)
					if err != nil {
						t.Error(err)
					}
					done <- n
				}()
				w.after(time.Minute)
				store.write <- true
				if n := <-done; n != 1 {
					t.Fatalf("Do: %d messages", n)
				}
				synctest.Wait()
				if ids := w.ids(queue.Filter{Status: test.left}); test.left != 0 && len(ids) != 1 || test.left == 0 && w.stored() != 0 {
					t.Errorf("left: %v, %d stored", ids, w.stored())
				}
				reports, other := 0, 0
				for _, c := range w.took() {
					switch c.hop {
					case "example.com":
						reports++
					case "other.example":
						other++
					}
				}
				if reports != test.reports || other != test.other {
					t.Errorf("%d reports, %d redirected; want %d, %d", reports, other, test.reports, test.other)
				}
			})
		})
	}
}

// A resubmitted message that could not be removed is not doubled if the
// operation is repeated.
func TestResubmitTwice(t *testing.T) {
	for fails := range int32(3) { // of removals: of the message, of the copy
		t.Run(fmt.Sprint(fails), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := new(stickyStore)
				w := newWorld(t, func(q *queue.Queue) { q.Store = store })
				store.Store = w.store
				w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
					return says(550, smtp.EnhancedCode{5, 1, 1}, "No such user")
				}
				w.run()
				defer w.shutdown()
				synctest.Wait()
				w.submit("", "bob@example.net")
				w.took()
				w.deliver = nil
				bad := queue.Filter{Status: queue.MessageBad}
				store.fails.Store(fails)
				if fails > 0 {
					if n, err := w.q.Do(context.Background(), bad, queue.Resubmit()); n != 0 || !errors.Is(err, queue.ErrFull) {
						t.Fatalf("%d, %v", n, err)
					}
					w.after(time.Minute)
				}
				w.do(bad, queue.Resubmit(), 1)
				w.after(time.Hour)
				if c := w.took(); len(c) != 1 || w.stored() != 0 {
					t.Errorf("%v, %d stored; want one delivery", c, w.stored())
				}
			})
		})
	}
}

// A stickyStore fails a given number of removals.
type stickyStore struct {
	*memory.Store
	fails atomic.Int32
}

func (s *stickyStore) Remove(ctx context.Context, owner, id string) error {
	if s.fails.Load() > 0 {
		s.fails.Add(-1)
		return queue.ErrFull
	}
	return s.Store.Remove(ctx, owner, id)
}

// An operation is performed even if the store fails at the first try, or if the
// Queue ends before the operation was possible.
func TestOperationSurvives(t *testing.T) {
	t.Run("a store that cannot record", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var store faultyStore
			w := newWorld(t, func(q *queue.Queue) { q.Store = &store })
			store.Store = w.store
			w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
				<-time.After(time.Minute)
				return greylist(hop, m, r)
			}
			w.run()
			defer w.shutdown()
			synctest.Wait()
			m := w.submit("alice@example.com", "bob@slow.example")
			synctest.Wait()
			w.do(queue.Filter{ID: m.ID}, queue.Suspend(), 1)
			store.full.Store(true)
			w.after(time.Hour)
			store.full.Store(false)
			w.after(time.Hour)
			if s := w.status(m.ID); s != queue.MessageSuspended {
				t.Errorf("status %v", s)
			}
		})
	})
	t.Run("Shutdown", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(q *queue.Queue) { q.Limits.Hop.Concurrency = 1 })
			w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
				<-time.After(time.Minute)
				return ok
			}
			w.run()
			synctest.Wait()
			w.submit("alice@example.com", "bob@example.net")
			synctest.Wait()
			m := w.submit("alice@example.com", "carol@example.net") // waits until it has ended
			synctest.Wait()
			w.do(queue.Filter{ID: m.ID}, queue.Suspend(), 1)
			w.shutdown()
			if s := w.status(m.ID); s != queue.MessageSuspended {
				t.Errorf("status %v", s)
			}
		})
	})
}

// If an operation removes the message that was to probe a dead hop, the next
// message for the hop probes it at once.
func TestOperationOnProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Limits.Deliveries = 1 })
		dead := true
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			switch {
			case hop.Destination == "slow.example":
				<-time.After(time.Minute)
			case dead:
				return refused
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		first := w.submit("alice@example.com", "bob@dead.example")
		synctest.Wait()
		w.submit("alice@example.com", "carol@dead.example")
		w.after(9*time.Minute + 50*time.Second)
		w.submit("alice@example.com", "dora@slow.example") // takes the only delivery
		w.after(15 * time.Second)
		dead = false
		w.took()
		w.do(queue.Filter{ID: first.ID}, queue.Suspend(), 1)
		w.after(2 * time.Minute)
		var got []string
		for _, c := range w.took() {
			got = append(got, c.rcpts...)
		}
		if want := []string{"dora@slow.example", "carol@dead.example"}; !slices.Equal(got, want) {
			t.Errorf("delivered to %q, want %q", got, want)
		}
	})
}

// The caller of Do may cancel it at any moment (an HTTP client, for example).
// The operation on the current message is completed, and its lease is released.
func TestOperationOfCanceledCaller(t *testing.T) {
	for name, op := range map[string]queue.Op{"resume": queue.Resume(), "remove with report": queue.Remove(true)} {
		synctest.Test(t, func(t *testing.T) {
			ctx, leave := context.WithCancel(context.Background())
			store := &leaving{Store: new(memory.Store)}
			w := newWorld(t, func(q *queue.Queue) { q.Store = store })
			w.store = store.Store.(*memory.Store)
			down := true
			w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
				if down {
					return says(451, smtp.EnhancedCode{4, 0, 0}, "Not now")
				}
				return ok
			}
			w.run()
			defer w.shutdown()
			synctest.Wait()
			w.submit("alice@example.com", "bob@example.net")
			w.took()
			w.do(queue.Filter{}, queue.Suspend(), 1)
			down = false
			store.leave = leave
			w.q.Do(ctx, queue.Filter{}, op)
			w.after(time.Second)
			if c := w.took(); len(c) != 1 || w.stored() != 0 {
				t.Errorf("%s: %v, %d stored; want one message sent, the report or this one", name, c, w.stored())
			}
		})
	}
}

// A leaving store ends a context when a message is claimed for an operation.
type leaving struct {
	queue.Store
	leave context.CancelFunc
}

func (s *leaving) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	ms, err := s.Store.Claim(ctx, c)
	if c.ID != "" && s.leave != nil {
		s.leave()
	}
	return ms, err
}
