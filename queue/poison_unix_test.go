//go:build unix

package queue_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// The durable store counts the deaths. A failed attempt between two deaths
// resets the count in the store, so that the second death counts as the first.
func TestPoisonCountIsDurable(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	open := func() *spool.Spool {
		store, err := spool.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	// die leaves the store as if the process died while the message was in delivery.
	die := func(store *spool.Spool) {
		store.Begin("m1")
		if err := store.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		left := t.TempDir()
		if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		dir = left
	}
	interrupted := func(store *spool.Spool, want int) {
		t.Helper()
		if m, err := store.Get(ctx, "m1"); err != nil || m.Interrupted != want {
			t.Fatalf("%+v, %v; want interrupted %d times", m, err, want)
		}
	}

	store := open()
	m := message("alice@example.com", "bob@slow.example")
	m.ID, m.Received = "m1", time.Now()
	if err := store.Put(ctx, m, queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	die(store)
	store = open()
	interrupted(store, 1)

	w := newWorld(t, func(q *queue.Queue) { q.Store = store })
	w.deliver = greylist
	events := w.q.Subscribe(0)
	defer events.Close()
	w.run()
	for e := range events.C {
		if e.Kind == queue.EventDefer {
			break
		}
	}
	w.shutdown()
	interrupted(store, 0)
	die(store)
	store = open()
	defer store.Close()
	interrupted(store, 1)
}
