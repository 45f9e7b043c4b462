package queue_test

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// In and Out are the messages of the last minute. They return to 0.
func TestQueueRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil).run()
		defer w.shutdown()
		hop := queue.NextHop{Connector: "out", Destination: "example.net"}
		check := func(in, out float64) {
			t.Helper()
			i := w.info(hop)
			if math.Abs(i.In-in) > 0.01 || math.Abs(i.Out-out) > 0.01 || i.Velocity() != i.Out-i.In {
				t.Errorf("after %v: in %g, out %g; want %g and %g", time.Since(w.begun), i.In, i.Out, in, out)
			}
		}
		for range 12 { // one every five seconds
			w.submit("alice@example.com", "bob@example.net")
			w.after(5 * time.Second)
		}
		check(12, 12)
		for range 24 {
			w.submit("alice@example.com", "bob@example.net")
			w.after(5 * time.Second)
		}
		check(12, 12)
		w.after(30 * time.Second)
		check(6, 6)
		w.after(40 * time.Second)
		check(0, 0)
		suspend(t, w.q, hop)
		for range 5 {
			w.submit("alice@example.com", "bob@example.net", "eve@example.net")
		}
		w.after(time.Second)
		check(5, 0)
		w.after(2 * time.Minute)
		lift(t, w.q, hop)
		w.after(time.Second)
		check(0, 5) // they came in before
	})
}

// A message that is deferred has not left its hop, and comes in only once.
func TestQueueRatesOfDeferredMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Retry = queue.Retry{Intervals: []time.Duration{10 * time.Second}, Jitter: -1} })
		var well atomic.Bool
		w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
			if well.Load() {
				return ok
			}
			return says(451, smtp.EnhancedCode{4, 7, 1}, "later")
		}
		w.run()
		defer w.shutdown()
		hop := queue.NextHop{Connector: "out", Destination: "example.net"}
		for range 3 {
			w.submit("alice@example.com", "bob@example.net")
		}
		w.after(35 * time.Second)
		i := w.info(hop)
		if i.In != 3 || i.Out != 0 || i.Deferred != 3 || i.Stored != 3 || i.Counts.Attempts != 12 {
			t.Errorf("%+v", i)
		}
		if i.LastError.Reply.Message != "later" || i.LastErrorAt.Sub(w.begun) != 30*time.Second || !i.LastAttempt.Equal(i.LastErrorAt) || !i.LastSuccess.IsZero() ||
			i.NextRetry.Sub(w.begun) != 40*time.Second || !i.Limit.Until.Equal(i.NextRetry) {
			t.Errorf("%+v", i)
		}
		well.Store(true)
		w.after(10 * time.Second)
		i = w.info(hop)
		if i.In != 3 || i.Out != 3 || i.Deferred != 0 || i.Stored != 0 || i.LastSuccess.Sub(w.begun) != 40*time.Second || i.LastErrorAt.Sub(w.begun) != 30*time.Second || i.MaxConcurrency != 20 {
			t.Errorf("%+v", i)
		}
	})
}

// The mail of one next hop can be suspended, resumed, retried, redirected and removed,
// with or without a report. CountFor returns how many messages that concerns.
func TestOperationsOnAHop(t *testing.T) {
	hop := queue.NextHop{Connector: "out", Destination: "example.net"}
	elsewhere := queue.NextHop{Connector: "other", Destination: "backup.example"}
	for _, tc := range []struct {
		op      queue.Op
		n       int    // how many of the messages for the hop
		kind    string // of the events
		left    int    // messages in the store
		attempt string // hops that get an attempt
		reports int
	}{
		{queue.Suspend(), 2, "OPERATION", 4, "", 0},
		{queue.Resume(), 1, "OPERATION", 4, "example.net", 0},
		{queue.RetryNow(), 2, "OPERATION", 4, "example.net example.net", 0},
		{queue.Redirect(elsewhere), 3, "REDIRECT", 2, "backup.example backup.example", 0}, // the suspended one stays so
		{queue.Remove(false), 3, "OPERATION", 1, "", 0},
		{queue.Remove(true), 3, "OPERATION", 1, "", 3},
		{queue.Expire(), 3, "OPERATION", 1, "", 3},
	} {
		t.Run(tc.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
					if hop.Destination == "example.net" || hop.Destination == "example.org" {
						return says(451, smtp.EnhancedCode{4, 7, 1}, "later")
					}
					return ok
				}
				w.run()
				defer w.shutdown()
				synctest.Wait()
				for range 2 {
					w.submit("alice@example.com", "bob@example.net")
				}
				suspended := w.submit("alice@example.com", "bob@example.net")
				w.submit("alice@example.com", "bob@example.org")
				w.took()
				w.do(queue.Filter{ID: suspended.ID}, queue.Suspend(), 1)
				events := w.q.Subscribe(0)
				defer events.Close()
				ctx, f := queue.WithOperator(context.Background(), "carol", "a test"), queue.Filter{Hop: &hop}
				if n, err := w.q.CountFor(ctx, f, tc.op, queue.SearchLimits{}); n.Messages != tc.n || !n.Complete || err != nil {
					t.Errorf("CountFor: %+v, %v; want %d", n, err, tc.n)
				}
				if n, err := w.q.Do(ctx, f, tc.op); n != tc.n || err != nil {
					t.Errorf("Do: %d, %v; want %d", n, err, tc.n)
				}
				reports, attempts := 0, ""
				for _, c := range w.took() {
					if c.from == "" {
						reports++
						continue
					}
					if attempts != "" {
						attempts += " "
					}
					attempts += c.hop
				}
				if reports != tc.reports || attempts != tc.attempt || w.stored() != tc.left {
					t.Errorf("%d reports, attempts at %q, %d stored; want %d, %q, %d", reports, attempts, w.stored(), tc.reports, tc.attempt, tc.left)
				}
				signed := 0
				for len(events.C) > 0 {
					e := <-events.C
					if e.Text == tc.op.String() && e.By == "carol" && e.Reason == "a test" && e.Kind.String() == tc.kind {
						signed++
					}
				}
				if signed != tc.n {
					t.Errorf("%d events say who and why, want %d", signed, tc.n)
				}
			})
		})
	}
}

// Removing an active message is recorded with the one who requested it, although it
// happens later.
func TestOperatorOfActiveMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &limitWorld{blocked: make(chan struct{})}
		w.world = newWorld(t, nil)
		w.q.Deliverer = w
		w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
			return says(451, smtp.EnhancedCode{4, 7, 1}, "later")
		}
		w.run()
		w.submit("blocked@example.com", "bob@example.net")
		synctest.Wait()
		if n, err := w.q.Do(queue.WithOperator(context.Background(), "carol", "a test"), queue.Filter{}, queue.Remove(false)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		events := w.q.Subscribe(0)
		defer events.Close()
		close(w.blocked)
		synctest.Wait()
		signed := 0
		for len(events.C) > 0 {
			if e := <-events.C; e.Kind == queue.EventOperation && e.Text == "remove" && e.By == "carol" && e.Reason == "a test" {
				signed++
			}
		}
		if signed != 1 {
			t.Errorf("%d events say who removed the message", signed)
		}
		w.shutdown()
	})
}
