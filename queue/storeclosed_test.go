package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// After Shutdown, and after the end of Run, Submit returns an error.
func TestSubmitAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(*queue.Queue){
		"Shutdown without Run": func(q *queue.Queue) { q.Shutdown(context.Background()) },
		"Run ended": func(q *queue.Queue) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			q.Run(ctx)
		},
		"Shutdown": func(q *queue.Queue) {
			ended := make(chan error)
			go func() { ended <- q.Run(context.Background()) }()
			synctest.Wait()
			q.Shutdown(context.Background())
			<-ended
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			end(w.q)
			err := w.q.Submit(t.Context(), message("a@example.com", "b@example.net"))
			if !errors.Is(err, queue.ErrShutdown) || reply(err) != "451 4.3.2 The queue is shut down" {
				t.Errorf("%s: %v", name, err)
			}
			if n := w.stored(); n != 0 {
				t.Errorf("%s: %d messages in the store", name, n)
			}
		})
	}
}

// If the Store is closed while the Queue runs, Run ends at once, and its error
// says so. Without CloseNotifier it ends at the next call of the Store.
func TestStoreClosedWhileRunning(t *testing.T) {
	const want = "queue: Queue.Store was closed while Run was running: queue: closed"
	for name, wrap := range map[string]func(*memory.Store) queue.Store{
		"CloseNotifier": func(s *memory.Store) queue.Store { return s },
		"another Store": func(s *memory.Store) queue.Store { return struct{ queue.Store }{s} },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.q.Store = wrap(w.store)
			w.run()
			synctest.Wait()
			w.store.Close()
			if name == "another Store" {
				err := w.q.Submit(t.Context(), message("a@example.com", "b@example.net"))
				if !errors.Is(err, queue.ErrClosed) || reply(err) != "451 4.3.2 The store is closed" {
					t.Errorf("%s: Submit: %v", name, err)
				}
			}
			begun := time.Now()
			if err := <-w.ended; textOf(err) != want || !errors.Is(err, queue.ErrClosed) {
				t.Errorf("%s: Run: %v", name, err)
			}
			if d := time.Since(begun); d != 0 {
				t.Errorf("%s: Run ended after %v", name, d)
			}
		})
	}
}

// An attempt that is in progress when the Store is closed is canceled: its result
// cannot be recorded.
func TestStoreClosedDuringAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.q.Deliverer = slow{w}
		w.run()
		if err := w.q.Submit(t.Context(), message("a@example.com", "b@example.net")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.store.Close()
		begun := time.Now()
		if err := <-w.ended; !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Run: %v", err)
		}
		if d := time.Since(begun); d != 0 {
			t.Errorf("Run ended after %v", d)
		}
	})
}

// slow is a Deliverer that delivers until ctx ends.
type slow struct{ queue.Deliverer }

func (slow) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	<-ctx.Done()
	return make([]queue.Result, len(rcpts))
}

// No method of a Queue without a Store panics.
func TestMethodsWithoutStore(t *testing.T) {
	ctx := t.Context()
	for name, call := range map[string]func(q *queue.Queue) error{
		"Message": func(q *queue.Queue) error { _, err := q.Message(ctx, "x"); return err },
		"Do":      func(q *queue.Queue) error { _, err := q.Do(ctx, queue.Filter{}, queue.RetryNow()); return err },
		"Export":  func(q *queue.Queue) error { return q.Export(ctx, "x", new(strings.Builder)) },
		"Drain":   func(q *queue.Queue) error { return q.Drain(ctx) },
		"Queues":  func(q *queue.Queue) error { _, err := q.Queues(ctx); return err },
		"RetryQueues": func(q *queue.Queue) error {
			_, err := q.RetryQueues(ctx, func(queue.NextHop) bool { return true })
			return err
		},
		"Messages": func(q *queue.Queue) (err error) {
			for _, err = range q.Messages(ctx, queue.Filter{}) {
			}
			return err
		},
	} {
		if err := call(new(queue.Queue)); textOf(err) != "queue: Queue.Store is not set" {
			t.Errorf("%s: %v", name, err)
		}
	}
	q := new(queue.Queue)
	q.SettingsChanged()
	q.Pause(context.Background())
	q.Continue(context.Background())
	q.Subscribe(0).Close()
	q.RetryQueue(context.Background(), queue.NextHop{})
}
