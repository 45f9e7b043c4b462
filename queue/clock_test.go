package queue_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/wall"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// The tests in this file set the wall clock of a relay, one minute after they
// begin: while it runs, or while it is stopped.

const (
	hour = time.Hour
	day  = 24 * hour
	year = 365 * day

	setAt     = time.Minute      // when the clock is set
	retryWait = 10 * time.Minute // the wait for a retry
	noticed   = time.Minute      // how long it may take until a step of the clock is noticed
)

// A clockWorld is a world with a wall clock that can be set, and with a store on
// disk.
type clockWorld struct {
	*world
	dir   string
	disk  *spool.Spool
	ahead atomic.Int64 // of the wall clock
	until time.Time    // closed.example is closed until then, by the wall clock
	down  bool         // the relay is stopped when the clock is set
}

func (w *clockWorld) wall() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *clockWorld) Pace(hop queue.NextHop) queue.Pace {
	if hop.Destination != "closed.example" || !w.wall().Before(w.until) {
		return queue.Pace{}
	}
	return queue.Pace{Held: true, Until: w.until}
}

// start starts the relay.
func (w *clockWorld) start(t *testing.T) {
	t.Helper()
	var err error
	if w.disk, err = spool.Open(w.dir, &spool.Options{SegmentSize: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	before := w.world
	w.world = newWorld(t, func(q *queue.Queue) {
		q.Store, q.Deliverer = w.disk, w
		q.Retry = queue.Retry{Intervals: []time.Duration{retryWait}, Jitter: -1}
		q.Clock = wall.Reading(w.wall)
	})
	if before != nil {
		w.begun, w.deliver, w.calls = before.begun, before.deliver, before.calls
	}
	w.run()
}

func (w *clockWorld) stop() {
	w.t.Helper()
	w.shutdown()
	if err := w.disk.Close(); err != nil {
		w.t.Error(err)
	}
}

// set sets the wall clock.
func (w *clockWorld) set(step time.Duration) {
	if w.down {
		w.stop()
	}
	w.ahead.Add(int64(step))
	if w.down {
		w.start(w.t)
	}
}

// eachStep runs a test for each step of the clock.
func eachStep(t *testing.T, test func(t *testing.T, w *clockWorld, step time.Duration)) {
	for _, down := range []bool{false, true} {
		for _, step := range []time.Duration{0, hour, -hour, day, -day, year, -year} {
			t.Run(fmt.Sprintf("%v,down=%v", step, down), func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					w := &clockWorld{dir: dir, down: down}
					w.start(t)
					defer func() { w.stop() }()
					test(t, w, step)
				})
			})
		}
	}
}

// attempts returns when the attempts for the hop were made, after the first n.
func (w *clockWorld) attempts(hop string, n int) (at []time.Duration) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if c.hop == hop {
			at = append(at, c.at)
		}
	}
	return at[min(n, len(at)):]
}

// A retry is made when its wait is over, whatever the clock says. After a restart
// it is not known how long the message has waited if the clock was set back. It is
// then retried at once.
func TestClockRetry(t *testing.T) {
	eachStep(t, func(t *testing.T, w *clockWorld, step time.Duration) {
		var well atomic.Bool
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			switch {
			case well.Load():
				return ok
			case hop.Destination == "dead.example":
				return refused
			}
			return says(451, smtp.EnhancedCode{4, 3, 0}, "later")
		}
		w.submit("alice@example.com", "bob@one.example")
		w.submit("alice@example.com", "bob@several.example", "bob@hops.example")
		w.submit("alice@example.com", "bob@dead.example")
		w.after(setAt)
		well.Store(true)
		w.set(step)
		w.after(2 * hour)
		for _, hop := range []string{"one.example", "several.example", "hops.example", "dead.example"} {
			want := retryWait
			if w.down && (step != 0 || hop == "dead.example") {
				want = setAt
			}
			if at := w.attempts(hop, 1); len(at) != 1 || at[0] != want {
				t.Errorf("%s: retried at %v, want %v", hop, at, want)
			}
		}
	})
}

// wallWait tests something that happens at a time of day, two hours after the
// test began.
func (w *clockWorld) wallWait(t *testing.T, hop string, step time.Duration) {
	w.after(setAt)
	w.set(step)
	want := max(2*hour-step, setAt)
	if step == -year {
		w.after(2 * day)
		if at := w.attempts(hop, 0); len(at) != 0 {
			t.Errorf("delivered at %v, a year too soon", at)
		}
		w.ahead.Add(int64(year)) // the mistake is corrected
		want = setAt + 2*day
	}
	w.after(2 * day)
	if at := w.attempts(hop, 0); len(at) != 1 || at[0] < want || at[0] > want+noticed {
		t.Errorf("delivered at %v, want %v", at, want)
	}
}

// A message is released at a time of day.
func TestClockRelease(t *testing.T) {
	eachStep(t, func(t *testing.T, w *clockWorld, step time.Duration) {
		m := message("alice@example.com", "bob@example.net")
		m.Options.Release = w.wall().Add(2 * hour)
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		w.wallWait(t, "example.net", step)
	})
}

// The schedule of a next hop is by the time of day.
func TestClockSchedule(t *testing.T) {
	eachStep(t, func(t *testing.T, w *clockWorld, step time.Duration) {
		w.until = w.wall().Add(2 * hour)
		w.submit("alice@example.com", "bob@closed.example")
		w.wallWait(t, "closed.example", step)
	})
}

// A suspension ends at a time of day, also after a restart.
func TestClockSuspensionEnds(t *testing.T) {
	eachStep(t, func(t *testing.T, w *clockWorld, step time.Duration) {
		s := queue.Suspension{Domain: "suspended.example", Until: w.wall().Add(2 * hour)}
		if _, err := w.q.Suspend(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		w.submit("alice@example.com", "bob@suspended.example")
		w.wallWait(t, "suspended.example", step)
		all, err := w.q.Suspensions(context.Background())
		stored, errStored := w.disk.Suspensions(context.Background())
		if len(all)+len(stored) != 0 || err != nil || errStored != nil {
			t.Errorf("the suspension has ended and is listed: %+v, %+v, %v, %v", all, stored, err, errStored)
		}
	})
}

// What an operator has suspended stays so, whatever the clock says.
func TestClockSuspension(t *testing.T) {
	eachStep(t, func(t *testing.T, w *clockWorld, step time.Duration) {
		ctx := context.Background()
		hop := queue.NextHop{Connector: "out", Destination: "suspended.example"}
		suspend(t, w.q, hop)
		w.submit("alice@example.com", "bob@suspended.example")
		w.q.Pause(context.Background())
		m := w.submit("alice@example.com", "bob@example.net")
		if n, err := w.q.Do(ctx, queue.Filter{ID: m.ID}, queue.Suspend()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		w.q.Continue(context.Background())
		w.after(setAt)
		w.set(step)
		w.after(2 * hour)
		if at := w.attempts("example.net", 0); len(at) != 0 {
			t.Errorf("the suspended message was delivered at %v", at)
		}
		if at := w.attempts("suspended.example", 0); len(at) != 0 {
			t.Errorf("mail of the suspended hop was delivered at %v", at)
		}
		lift(t, w.q, hop)
		if n, err := w.q.Do(ctx, queue.Filter{ID: m.ID}, queue.Resume()); n != 1 || err != nil {
			t.Error(n, err)
		}
		w.after(time.Second)
		if len(w.attempts("example.net", 0)) == 0 {
			t.Error("the suspended message was not delivered when it was resumed")
		}
		if at := w.attempts("suspended.example", 0); len(at) == 0 && step < 2*day { // otherwise it has expired
			t.Error("mail of the suspended hop was not delivered when that was resumed")
		}
	})
}

// A lease lasts while its owner delivers the message, whatever the clock says.
func TestClockLease(t *testing.T) {
	for _, step := range []time.Duration{hour, -hour, day, -day, year, -year} {
		t.Run(step.String(), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := &clockWorld{dir: dir}
				w.start(t)
				defer w.stop()
				w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
					<-time.After(2 * hour) // many times the length of a lease
					return ok
				}
				w.submit("alice@example.com", "bob@example.net")
				w.after(setAt)
				w.set(step)
				w.after(hour)
				w.set(-step)
				w.after(2 * hour)
				if at := w.attempts("example.net", 0); len(at) != 1 {
					t.Errorf("delivered at %v", at)
				}
				if n := w.disk.Stats().Messages; n != 0 {
					t.Errorf("%d messages are left", n)
				}
			})
		})
	}
}

// A message expires by the time of day, after a last attempt. Until then it is
// retried as always.
func TestClockExpiry(t *testing.T) {
	eachStep(t, func(t *testing.T, w *clockWorld, step time.Duration) {
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "example.net" {
				return says(451, smtp.EnhancedCode{4, 3, 0}, "later")
			}
			return ok
		}
		w.submit("alice@example.com", "bob@example.net")
		w.after(setAt)
		w.set(step)
		w.after(4 * day)
		next := retryWait // when it is retried after the clock was set
		if w.down && step != 0 {
			next = setAt
		}
		reported := w.attempts("example.com", 0)
		switch want := max(2*day-step, next); {
		case step == -year:
			if n := len(w.attempts("example.net", 0)); len(reported) != 0 || n < 570 || n > 580 {
				t.Errorf("reported at %v; %d attempts in four days, want one in ten minutes", reported, n)
			}
		case len(reported) == 0 || reported[len(reported)-1] != want:
			t.Errorf("reported at %v, want %v", reported, want)
		default:
			if at := w.attempts("example.net", 0); at[len(at)-1] != want {
				t.Errorf("the last attempt was at %v, want %v", at[len(at)-1], want)
			}
		}
	})
}

// What a page about a message shows is by the wall clock, also after it was set.
func TestClockInfo(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &clockWorld{dir: dir}
		w.start(t)
		defer w.stop()
		w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
			return says(451, smtp.EnhancedCode{4, 3, 0}, "later")
		}
		m := w.submit("alice@example.com", "bob@example.net")
		w.after(setAt)
		w.set(hour)
		info, err := w.q.Message(context.Background(), m.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := w.wall().Add(retryWait - setAt)
		if !info.Due.Equal(want) || !info.Recipients[0].NextAttempt.Equal(want) || info.Status != queue.MessageRetry {
			t.Errorf("due %v, next attempt %v, %v; want %v", info.Due, info.Recipients[0].NextAttempt, info.Status, want)
		}
	})
}
