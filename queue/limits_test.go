package queue_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A host that comes back after an outage does not get all waiting mail at the
// same time.
func TestRecoveredHostIsNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var back atomic.Bool
		var now, most atomic.Int32
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if !back.Load() {
				return refused
			}
			most.Store(max(most.Load(), now.Add(1)))
			<-time.After(time.Second)
			now.Add(-1)
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		for range 1000 {
			w.submit("alice@example.com", "bob@example.net")
		}
		w.after(5 * time.Minute)
		back.Store(true)
		w.after(5*time.Minute + 500*time.Millisecond)
		if most.Load() != 1 {
			t.Errorf("%d at a time before the probe is back, want 1", most.Load())
		}
		w.after(time.Second)
		if most.Load() != 5 {
			t.Errorf("%d at a time after the probe, want 5", most.Load())
		}
		w.after(5 * time.Minute)
		if n := w.stored(); n != 0 || most.Load() != 20 {
			t.Errorf("%d left, %d at a time at most", n, most.Load())
		}
	})
}

func TestTotalLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Limits = queue.Limits{Rate: 10, Deliveries: 3} })
		var now, most atomic.Int32
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			most.Store(max(most.Load(), now.Add(1)))
			<-time.After(200 * time.Millisecond)
			now.Add(-1)
			return ok
		}
		for i := range 200 {
			w.submit("alice@example.com", "bob@h"+string(rune('a'+i%20))+".example")
		}
		w.run()
		defer w.shutdown()
		w.after(9950 * time.Millisecond)
		if n := len(w.took()); n < 95 || n > 100 || most.Load() > 3 {
			t.Errorf("%d in 10 s, %d at a time; want 10 a second, 3 at a time", n, most.Load())
		}
	})
}

// Messages that do not fit into memory wait in the store and are delivered from
// there.
func TestMemoryLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Limits = queue.Limits{Memory: 1000, Active: 10} })
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			<-time.After(time.Second)
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		for range 100 {
			m := message("alice@example.com", "bob@example.net")
			m.Content = queue.String("Subject: " + strings.Repeat("x", 591))
			if err := w.q.Submit(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		w.after(time.Minute)
		if c := w.took(); len(c) != 100 || w.stored() != 0 {
			t.Errorf("%d delivered, %d left", len(c), w.stored())
		}
	})
}

// A message for many recipients at one hop is delivered in several calls.
func TestRecipientLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil).run()
		defer w.shutdown()
		synctest.Wait()
		var to []string
		for i := range 120 {
			to = append(to, fmt.Sprintf("u%d@example.net", i))
		}
		w.submit("alice@example.com", to...)
		n := map[int]int{}
		for _, c := range w.took() {
			n[len(c.rcpts)]++
		}
		if n[50] != 2 || n[20] != 1 || w.stored() != 0 {
			t.Errorf("calls by their recipients: %v; want two with 50 and one with 20", n)
		}
	})
}

// Without work there is no goroutine but that of Run.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil).run()
		defer w.shutdown()
		synctest.Wait()
		for i := range 100 {
			w.submit("alice@example.com", fmt.Sprintf("bob@h%d.example", i))
		}
		if n := len(w.took()); n != 100 {
			t.Errorf("%d delivered", n)
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
			if bytes.Contains(stack, []byte("queue.(*Queue)")) && !bytes.Contains(stack, []byte("queue.(*Queue).run(")) {
				t.Errorf("there is still\n%s", stack)
			}
		}
	})
}
