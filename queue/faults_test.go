package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A faultyStore cannot record while full is set, and sets Message.Interrupted
// as a DeliveryJournal does after crashes.
type faultyStore struct {
	queue.Store
	full        atomic.Bool
	interrupted sync.Map // ID -> int
}

func (s *faultyStore) Update(ctx context.Context, owner string, m *queue.Message, sch queue.Schedule) error {
	if s.full.Load() {
		return queue.ErrFull
	}
	s.interrupted.CompareAndSwap(m.ID, 1, m.Interrupted)
	return s.Store.Update(ctx, owner, m, sch)
}

func (s *faultyStore) Remove(ctx context.Context, owner, id string) error {
	if s.full.Load() {
		return queue.ErrFull
	}
	return s.Store.Remove(ctx, owner, id)
}

func (s *faultyStore) Sync(ctx context.Context) error {
	if s.full.Load() {
		return queue.ErrFull
	}
	return s.Store.Sync(ctx)
}

func (s *faultyStore) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	ms, err := s.Store.Claim(ctx, c)
	for _, m := range ms {
		if n, ok := s.interrupted.Load(m.ID); ok {
			m.Interrupted = n.(int)
		}
	}
	return ms, err
}

// While the store cannot record, nothing is delivered, because it would be
// delivered again later. The results of attempts in progress are recorded when
// the store works again.
func TestStoreCannotRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store faultyStore
		w := newWorld(t, func(q *queue.Queue) {
			q.Store = &store
		})
		store.Store = w.store
		w.run()
		defer w.shutdown()
		synctest.Wait()
		store.full.Store(true)
		w.submit("alice@example.com", "first@example.net")
		if c := w.took(); len(c) != 1 {
			t.Fatalf("%v", c)
		}
		for range 10 {
			w.submit("alice@example.com", "bob@example.net")
		}
		w.after(5 * time.Hour)
		if c := w.took(); len(c) != 0 {
			t.Fatalf("delivered while nothing can be recorded: %v", c)
		}
		store.full.Store(false)
		w.after(2 * time.Minute)
		c := w.took()
		if len(c) != 10 || w.stored() != 0 {
			t.Fatalf("%d delivered afterwards, %d left", len(c), w.stored())
		}
		for _, c := range c {
			if c.rcpts[0] == "first@example.net" {
				t.Error("delivered twice")
			}
		}
	})
}

// A message that was in delivery twice when the process died, and then once more
// when it was tried alone, is set aside and stays there. A message that was in delivery once is attempted again, one such
// message at a time.
func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store faultyStore
		w := newWorld(t, func(q *queue.Queue) { q.Store = &store })
		store.Store = w.store
		var now, most atomic.Int32
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			most.Store(max(most.Load(), now.Add(1)))
			<-time.After(time.Second)
			now.Add(-1)
			return ok
		}
		events := w.q.Subscribe(0)
		defer events.Close()
		for i := range 5 {
			m := w.submit("alice@example.com", fmt.Sprintf("suspect%d@example.net", i))
			store.interrupted.Store(m.ID, 1)
		}
		poison := w.submit("alice@example.com", "poison@example.net")
		store.interrupted.Store(poison.ID, 3)
		w.run()
		defer w.shutdown()
		w.after(time.Hour)
		if c := w.took(); len(c) != 5 || most.Load() != 1 {
			t.Errorf("%v, %d at a time; want the 5 suspects, one at a time", c, most.Load())
		}
		if s := w.status(poison.ID); s != queue.MessagePoison {
			t.Errorf("status %v", s)
		}
		reported := false
		for len(events.C) > 0 {
			if e := <-events.C; e.Kind == queue.EventPoison {
				reported = e.ID == poison.ID
			}
		}
		if !reported {
			t.Error("there is no event for it")
		}
		w.do(queue.Filter{Status: queue.MessagePoison}, queue.Resubmit(), 1)
		w.after(time.Minute)
		if c := w.took(); len(c) != 1 || w.stored() != 0 {
			t.Errorf("resubmitted: %v, %d stored", c, w.stored())
		}
	})
}

// Before a message is set aside, it is tried alone: for as long as its attempt
// takes, but not for more than 30 seconds, nothing else is in delivery. Then other
// mail continues, before the next such message is tried.
func TestLastAttemptIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store faultyStore
		w := newWorld(t, func(q *queue.Queue) { q.Store = &store })
		store.Store = w.store
		var now atomic.Int32
		alone := func(hop string) bool { return strings.HasPrefix(hop, "last") }
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			n := now.Add(1)
			defer now.Add(-1)
			wait := time.Second
			if hop.Destination == "last0.example" {
				wait = 10 * time.Minute
			}
			for range int(wait / time.Second) {
				<-time.After(time.Second)
				if alone(hop.Destination) && wait == time.Second && (n > 2 || n == 2 && now.Load() > 2) {
					t.Errorf("%s is not tried alone: %d in delivery", hop.Destination, n)
				}
			}
			return ok
		}
		for i := range 3 {
			m := w.submit("alice@example.com", fmt.Sprintf("bob@last%d.example", i))
			store.interrupted.Store(m.ID, 2)
		}
		w.run()
		defer w.shutdown()
		for range 600 {
			w.submit("alice@example.com", "bob@other.example")
			w.after(time.Second)
		}
		w.after(time.Minute)
		took := map[string]int{}
		var longest, last time.Duration // between two deliveries of other mail
		for _, c := range w.took() {
			took[c.hop]++
			if c.hop == "other.example" {
				longest, last = max(longest, c.at-last), c.at
			}
		}
		if took["other.example"] != 600 || took["last0.example"] != 1 || took["last1.example"] != 1 || took["last2.example"] != 1 {
			t.Errorf("deliveries: %v", took)
		}
		if longest > 35*time.Second {
			t.Errorf("other mail stood still for %v", longest)
		}
	})
}

// A message that crashes the process does so soon. Suspects whose hosts are
// slow delay the other suspects, but not until the slow attempts have ended.
func TestSlowSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store faultyStore
		w := newWorld(t, func(q *queue.Queue) { q.Store = &store })
		store.Store = w.store
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			<-time.After(10 * time.Minute)
			return ok
		}
		for i := range 100 {
			m := w.submit("alice@example.com", fmt.Sprintf("suspect@slow%d.example", i))
			store.interrupted.Store(m.ID, 1)
		}
		w.run()
		defer w.shutdown()
		w.after(2 * time.Hour)
		if c := w.took(); len(c) != 100 {
			t.Errorf("%d of 100 were delivered in two hours", len(c))
		}
	})
}

// Only deaths in a row count. An attempt that ends between them resets the
// count, even if it failed.
func TestPoisonCountsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store faultyStore
		w := newWorld(t, func(q *queue.Queue) { q.Store = &store })
		store.Store = w.store
		w.deliver = greylist
		tried := w.submit("alice@example.com", "bob@slow.example")
		store.interrupted.Store(tried.ID, 1)
		suspend(t, w.q, queue.NextHop{Connector: "out", Destination: "suspended.example"})
		untried := w.submit("alice@example.com", "bob@suspended.example")
		store.interrupted.Store(untried.ID, 1)
		w.run()
		defer w.shutdown()
		w.after(time.Minute)
		if c := w.took(); len(c) != 1 || c[0].id != tried.ID {
			t.Fatalf("%v", c)
		}
		for m, want := range map[*queue.Message]int{tried: 0, untried: 1} {
			if n, _ := store.interrupted.Load(m.ID); n != want {
				t.Errorf("%s: recorded as interrupted %v times, want %d", m.Recipients[0].Addr, n, want)
			}
		}
	})
}

// A poison message waits for the operator, who gets a warning. Its sender does
// not wait for ever.
func TestPoisonExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store faultyStore
		var log strings.Builder
		w := newWorld(t, func(q *queue.Queue) {
			q.Store = &store
			q.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		store.Store = w.store
		for _, from := range []string{"alice@example.com", ""} {
			m := w.submit(from, "bob@example.net")
			store.interrupted.Store(m.ID, 3)
		}
		w.run()
		w.after(47 * time.Hour)
		if c, n := w.took(), w.stored(); len(c) != 0 || n != 2 {
			t.Errorf("before its time: %v, %d stored", c, n)
		}
		w.after(2 * time.Hour)
		c := w.took()
		if len(c) != 1 || !strings.Contains(c[0].text, "Status: 4.4.7") || !strings.Contains(c[0].text, "set aside") {
			t.Errorf("when its time is over: %v, want one report", c)
		}
		if bad := w.ids(queue.Filter{Status: queue.MessageBad}); len(bad) != 1 || w.stored() != 1 {
			t.Errorf("bad mail %v, %d stored; want the one that cannot be reported", bad, w.stored())
		}
		w.shutdown()
		for text, want := range map[string]int{"set aside as poison": 2, "kept as bad mail": 1, "level=INFO": 0} {
			if n := strings.Count(log.String(), text); n != want {
				t.Errorf("%q is in the log %d times, want %d:\n%s", text, n, want, log.String())
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 3 {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
	})
}

// If a Deliverer panics, or returns too few results, only the attempt is lost.
func TestDelivererFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		tries := 0
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if tries++; tries < 3 {
				panic("a fault")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("alice@example.com", "bob@example.net")
		w.after(time.Hour)
		if c := w.took(); len(c) != 1 || tries != 3 || w.stored() != 0 {
			t.Errorf("%v after %d tries", c, tries)
		}
	})
}

// Shutdown cancels attempts that hang. A canceled attempt does not count, and
// the message is attempted again.
func TestShutdownCancelsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := hanging{world: newWorld(t, nil)}
		hang.q.Deliverer = hang
		hang.run()
		synctest.Wait()
		m := hang.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := hang.q.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-hang.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		got, err := hang.store.Get(context.Background(), m.ID)
		if err != nil || got.Recipients[0].Attempts != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		again := newWorld(t, func(q *queue.Queue) { q.Store = hang.store }).run()
		defer again.shutdown()
		if c := again.took(); len(c) != 1 {
			t.Errorf("%v", c)
		}
	})
}

type hanging struct{ *world }

func (h hanging) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	<-ctx.Done()
	return make([]queue.Result, len(rcpts))
}

// Mail whose next hop is this host itself fails.
func TestNextHopIsThisHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("alice@example.com", "bob@relay.example.com")
		if c := w.took(); len(c) != 1 || !strings.Contains(c[0].text, "Status: 5.3.5") {
			t.Errorf("next hop is this host: %v", c)
		}
	})
}
