package queue_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// wantCounts compares some counters. Those that want does not name must be zero.
func wantCounts[K comparable, N int | int64](t *testing.T, what string, got, want map[K]N) {
	t.Helper()
	maps.DeleteFunc(got, func(_ K, n N) bool { return n == 0 })
	if !maps.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

type n = map[string]int64

// Each counter has what the Queue did.
func TestCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer func(rcpt string) queue.Result
		w := newWorld(t, func(q *queue.Queue) {
			q.Retry = queue.Retry{Intervals: []time.Duration{time.Hour}, Jitter: -1, Expiry: 3 * time.Hour, DelayNotice: 2 * time.Hour}
		})
		w.deliver = func(_ queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if m.System {
				return ok
			}
			return answer(r.Addr)
		}
		events := w.q.Subscribe(1)
		defer events.Close()
		w.run()
		defer w.shutdown()

		answer = func(string) queue.Result { return ok }
		m := message("alice@example.com", "bob@example.net", "carol@example.net")
		m.Options.Priority = 3
		m.Recipients[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifySuccess}
		if err := w.q.Submit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c := w.q.Counters()
		if c.Enqueued != 1 || c.DeliveryAge["high"].Count != 2 || c.DeliveryAge["normal"].Count != 1 { // the report
			t.Errorf("success: %+v", c)
		}
		wantCounts(t, "attempts", c.Attempts, n{"success": 2})
		wantCounts(t, "recipients", c.Recipients, n{"delivered": 3})
		wantCounts(t, "reports", c.Reports, n{"relayed": 1})

		// One of two recipients is refused. No report, as NOTIFY says.
		answer = func(rcpt string) queue.Result {
			if rcpt == "bob@example.net" {
				return says(550, smtp.EnhancedCode{5, 1, 1}, "No such user")
			}
			return ok
		}
		m = message("alice@example.com", "bob@example.net", "carol@example.net")
		m.Recipients[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyNever}
		if err := w.q.Submit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c = w.q.Counters()
		wantCounts(t, "attempts", c.Attempts, n{"success": 2, "partial": 1})
		wantCounts(t, "recipients", c.Recipients, n{"delivered": 4, "failed": 1})
		wantCounts(t, "reports", c.Reports, n{"relayed": 1, "suppressed": 1})

		// Refused: a failure report. From the null reverse-path: bad mail.
		w.submit("alice@example.com", "bob@example.net")
		w.submit("", "bob@example.net")
		synctest.Wait()
		c = w.q.Counters()
		wantCounts(t, "attempts", c.Attempts, n{"success": 3, "partial": 1, "failure": 2})
		wantCounts(t, "reports", c.Reports, n{"relayed": 1, "suppressed": 1, "failed": 1})
		if c.BadMail != 1 || c.EventsDropped == 0 || c.EventsDropped != int64(events.Dropped()) {
			t.Errorf("%+v", c)
		}

		// Deferred, then delayed, then expired; the age of a later delivery.
		answer = func(rcpt string) queue.Result {
			return queue.Result{Outcome: queue.Deferred, Reply: smtp.SMTPError{Code: 451, Message: "Later"}}
		}
		w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		wantCounts(t, "attempts", w.q.Counters().Attempts, n{"success": 3, "partial": 1, "failure": 2, "deferred": 1})
		w.after(4 * time.Hour)
		c = w.q.Counters()
		wantCounts(t, "recipients", c.Recipients, n{"delivered": 7, "failed": 3, "deferred": 3, "expired": 1})
		wantCounts(t, "reports", c.Reports, n{"relayed": 1, "suppressed": 1, "failed": 2, "delayed": 1})

		// Unreachable. The operator removes the message.
		answer = func(string) queue.Result { return queue.Result{Outcome: queue.Unreachable, Err: errors.New("refused")} }
		w.submit("alice@example.com", "dave@example.org")
		synctest.Wait()
		before := w.q.Counters()
		wantCounts(t, "attempts", before.Attempts, n{"success": 5, "partial": 1, "failure": 2, "deferred": 4, "unreachable": 1})
		if done, err := w.q.Do(t.Context(), queue.Filter{Recipient: "dave@example.org"}, queue.Remove(false)); done != 1 || err != nil {
			t.Fatal(done, err)
		}
		if after := w.q.Counters(); after.Recipients["removed"] != 1 {
			t.Errorf("removed: %v", after.Recipients)
		}

		// Delivered after 20 minutes, with a low priority.
		answer = func(string) queue.Result { return ok }
		m = message("alice@example.com", "bob@example.net")
		m.Options.Priority, m.Received = -4, time.Now().Add(-20*time.Minute)
		if err := w.q.Submit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if low := w.q.Counters().DeliveryAge["low"]; low.Count != 1 || low.Sum != 1200 {
			t.Errorf("age of low priority: %+v", low)
		}
	})
}

// An expanded list and a poison message are counted.
func TestCountersOfHooksAndPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store faultyStore
		w := newWorld(t, func(q *queue.Queue) {
			q.Store = &store
			q.Limits.Interrupted = 1
			q.Hooks = []queue.Hook{{Resolved: func(_ context.Context, m *queue.Message) error {
				return m.Expand(m.Recipients[0], "a@example.net", "b@example.net")
			}}}
		})
		store.Store = w.store
		m := w.submit("alice@example.com", "list@example.net")
		store.interrupted.Store(m.ID, 5)
		w.run()
		defer w.shutdown()
		synctest.Wait()
		c := w.q.Counters()
		wantCounts(t, "recipients", c.Recipients, n{"expanded": 1})
		if c.Poison != 1 || c.Enqueued != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// Mail that waits for a rate is counted once for each wait.
func TestCountersOfRates(t *testing.T) {
	for name, limits := range map[string]queue.Limits{
		"rate": {Hop: queue.HopLimits{Rate: 1}}, "total rate": {Rate: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(q *queue.Queue) { q.Limits = limits })
			w.run()
			defer w.shutdown()
			for range 5 {
				w.submit("alice@example.com", "bob@example.net")
			}
			w.after(time.Minute)
			if len(w.took()) != 5 {
				t.Fatal("not delivered")
			}
			wantCounts(t, name, w.q.Counters().Throttled, n{name: 4})
		})
	}
}

// A next hop that refuses further connections is counted, and a host that is busy.
func TestCountersOfThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		busy := true
		w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
			if busy {
				busy = false
				return queue.Result{Outcome: queue.Busy}
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "bob@example.net")
		w.after(time.Minute)
		c := w.q.Counters()
		wantCounts(t, "throttled", c.Throttled, n{"busy": 1})
		wantCounts(t, "attempts", c.Attempts, n{"success": 1})
	})
}

// Totals has the messages by status, their ages and the next hops by status.
func TestTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.route = func(_ *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
			return queue.NextHop{Connector: "out", Destination: r.Addr}, nil
		}
		hang := make(chan struct{})
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			switch hop.Destination {
			case "down@example.net":
				return queue.Result{Outcome: queue.Unreachable}
			case "slow@example.net":
				<-hang
			}
			return ok
		}
		begun := time.Now()
		old := message("alice@example.com", "down@example.net")
		old.Received = begun.Add(-11 * time.Minute)
		held := message("alice@example.com", "held@example.net")
		held.Options.Release = begun.Add(time.Hour)
		held.Received = begun.Add(-100 * time.Hour)
		for _, m := range []*queue.Message{old, held} {
			if err := w.q.Submit(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		s := w.submit("alice@example.com", "suspended@example.net")
		if done, err := w.q.Do(t.Context(), queue.Filter{ID: s.ID}, queue.Suspend()); done != 1 || err != nil {
			t.Fatal(done, err)
		}
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "slow@example.net")
		synctest.Wait()

		got, err := w.q.Totals(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantCounts(t, "messages", got.Messages, map[queue.MessageStatus]int{queue.MessageRetry: 1, queue.MessageHeld: 1, queue.MessageSuspended: 1, queue.MessageActive: 1})
		wantCounts(t, "hops", got.Hops, map[queue.QueueStatus]int{queue.QueueRetry: 1, queue.QueueActive: 1, queue.QueueAside: 1, queue.QueueReady: 1})
		if !got.Oldest.Equal(old.Received) || !got.Time.Equal(time.Now()) || got.Bytes != 4*old.Content.Size() {
			t.Errorf("%+v", got)
		}
		if a := got.Ages; a.Count != 2 || a.Sum != 660 || a.Counts[0] != 1 || a.Counts[2] != 1 || a.Bounds[1] != 600 || a.Bounds[2] != 1200 {
			t.Errorf("ages: %+v", a)
		}
		clear(got.Messages) // the caller's own
		if again, err := w.q.Totals(t.Context()); err != nil || again.Messages[queue.MessageActive] != 1 {
			t.Error(again, err)
		}
		close(hang)
	})
}
