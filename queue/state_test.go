package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// State says what a Queue does: before, during and after Run.
func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store faultyStore
		w := newWorld(t, func(q *queue.Queue) { q.Store = &store })
		store.Store = w.store
		want := func(when string, want queue.State) {
			t.Helper()
			synctest.Wait()
			got := w.q.State()
			got.Active, got.Memory, got.Deliveries, got.Limits, got.Limit = 0, 0, 0, queue.Limits{}, queue.Limit{} // see TestLimits
			if got != want {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
		want("before Run", queue.State{Recording: true})
		w.run()
		want("running", queue.State{Running: true, Recording: true})
		w.q.Freeze(context.Background())
		want("frozen", queue.State{Running: true, Frozen: true, Recording: true})
		w.q.Thaw(context.Background())
		w.q.Pause(context.Background())
		want("paused", queue.State{Running: true, Paused: true, Recording: true})

		w.submit("alice@example.com", "bob@example.net")
		drain, stop := context.WithCancel(t.Context())
		drained := make(chan error)
		go func() { drained <- w.q.Drain(drain) }()
		want("draining", queue.State{Running: true, Frozen: true, Draining: true, Paused: true, Recording: true})
		stop()
		<-drained
		want("no longer draining", queue.State{Running: true, Frozen: true, Paused: true, Recording: true})

		store.full.Store(true)
		w.q.Thaw(context.Background())
		w.q.Continue(context.Background())
		want("the store cannot record", queue.State{Running: true})
		store.full.Store(false)
		w.after(2 * time.Minute)
		want("it can again", queue.State{Running: true, Recording: true})

		w.shutdown()
		want("ended", queue.State{Ended: true, Recording: true})
	})
}
