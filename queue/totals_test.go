package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// slowWalker is a store in which counting takes 50 ms.
type slowWalker struct{ memory.Store }

func (s *slowWalker) Walk(ctx context.Context, f func(*queue.Entry)) error {
	time.Sleep(50 * time.Millisecond)
	return s.Store.Walk(ctx, f)
}

// When counting takes long, a call does not wait for it, unless the last result is old.
func TestTotalsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Store = &slowWalker{} })
		// messages returns the number of messages, and how long the call took.
		messages := func() (int, time.Duration) {
			began := time.Now()
			totals, err := w.q.Totals(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return totals.Messages[queue.MessageReady], time.Since(began)
		}
		want := func(n int, took time.Duration) {
			t.Helper()
			if got, d := messages(); got != n || d != took {
				t.Errorf("%d messages after %v, want %d after %v", got, d, n, took)
			}
		}
		submit := func(to string) {
			t.Helper()
			if err := w.q.Submit(t.Context(), message("alice@example.com", to)); err != nil {
				t.Fatal(err)
			}
		}
		want(0, 50*time.Millisecond)
		submit("one@example.com")
		want(0, 0) // five seconds are not over
		time.Sleep(6 * time.Second)
		want(0, 0) // counts in the background
		want(0, 0)
		synctest.Wait()
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		want(1, 0)
		submit("two@example.com")
		time.Sleep(2 * time.Minute)
		want(2, 50*time.Millisecond)
	})
}
