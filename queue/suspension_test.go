package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// suspended returns what is suspended, as text.
func (w *world) suspended() string {
	w.t.Helper()
	all, err := w.q.Suspensions(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	var texts []string
	for _, s := range all {
		text := fmt.Sprintf("%s (%s, %s)", &s, s.By, s.Reason)
		if !s.Until.IsZero() {
			text += " for " + s.Until.Sub(s.Since).String()
		}
		if s.Volatile {
			text += ", volatile"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

// hopsOf returns the next hops of calls.
func hopsOf(calls []call) string {
	var names []string
	for _, c := range calls {
		names = append(names, c.hop)
	}
	return strings.Join(names, " ")
}

// A suspended domain includes all next hops with that destination, whichever their
// connector and spelling, also those that come later, and no other.
func TestSuspendDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.route = func(m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
			local, domain, _ := strings.Cut(r.Addr, "@")
			return queue.NextHop{Connector: local, Destination: domain}, nil
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("alice@example.com", "known@bücher.example")
		if c := w.took(); len(c) != 1 {
			t.Fatalf("%v", c)
		}
		ctx := queue.WithOperator(context.Background(), "carol", "maintenance")
		s, err := w.q.Suspend(ctx, queue.Suspension{Domain: "BÜCHER.example.", Until: time.Now().Add(time.Hour)})
		if err != nil || s.Domain != "xn--bcher-kva.example" || s.By != "carol" || s.Reason != "maintenance" || s.Since.IsZero() || s.Volatile {
			t.Fatalf("%+v, %v", s, err)
		}
		for _, to := range []string{"known@bücher.example", "other@xn--bcher-kva.example", "out@sub.bücher.example", "out@example.net"} {
			w.submit("alice@example.com", to)
		}
		if got := hopsOf(w.took()); got != "sub.bücher.example example.net" && got != "example.net sub.bücher.example" {
			t.Errorf("delivered to %s", got)
		}
		list, err := w.q.Queues(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			want := strings.HasPrefix(i.Hop.Destination, "bücher") || strings.HasPrefix(i.Hop.Destination, "xn--")
			if (i.Status == queue.QueueSuspended) != want || (i.Suspension != nil) != want || (i.Limit.Kind == queue.LimitSuspended) != want {
				t.Errorf("%+v", i)
			}
			if want && !strings.Contains(i.Limit.Text, "by carol until ") {
				t.Errorf("%+v", i.Limit)
			}
		}
		// A hop that is suspended itself stays so when its domain is resumed.
		hop := queue.NextHop{Connector: "other", Destination: "xn--bcher-kva.example"}
		suspend(t, w.q, hop)
		if got := w.suspended(); got != "xn--bcher-kva.example via other (, ); xn--bcher-kva.example (carol, maintenance) for 1h0m0s" {
			t.Error(got)
		}
		if err := w.q.Lift(ctx, queue.Suspension{Domain: "bücher.example"}); err != nil {
			t.Error(err)
		}
		if got := hopsOf(w.took()); got != "bücher.example" {
			t.Errorf("delivered to %s", got)
		}
		lift(t, w.q, hop)
		if got := hopsOf(w.took()); got != "xn--bcher-kva.example" {
			t.Errorf("delivered to %s", got)
		}
		if err := w.q.Lift(ctx, queue.Suspension{Hop: hop}); !errors.Is(err, queue.ErrNoSuspension) {
			t.Errorf("Lift of nothing: %v", err)
		}
	})
}

// A suspension that replaces another has its own end.
func TestSuspendAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil).run()
		defer w.shutdown()
		hop := queue.NextHop{Connector: "out", Destination: "example.net"}
		for _, d := range []time.Duration{time.Hour, 2 * time.Hour} {
			if _, err := w.q.Suspend(context.Background(), queue.Suspension{Hop: hop, Until: time.Now().Add(d)}); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.suspended(); got != "example.net via out (, ) for 2h0m0s" {
			t.Error(got)
		}
		w.submit("alice@example.com", "bob@example.net")
		w.after(2*time.Hour - time.Minute)
		if c := w.took(); len(c) != 0 {
			t.Errorf("delivered: %v", c)
		}
		w.after(time.Minute)
		if c := w.took(); len(c) != 1 || w.suspended() != "" {
			t.Errorf("delivered %v, suspended %s", c, w.suspended())
		}
	})
}

// Each operation sends an event that says who requested it, and why.
func TestSuspensionEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil).run()
		defer w.shutdown()
		events := w.q.Subscribe(0)
		defer events.Close()
		ctx := queue.WithOperator(context.Background(), "carol", "a test")
		hop := queue.NextHop{Connector: "out", Destination: "example.net"}
		s := queue.Suspension{Hop: hop, By: "dave", Reason: "his own", Until: time.Now().Add(time.Hour)}
		if _, err := w.q.Suspend(ctx, s); err != nil {
			t.Fatal(err)
		}
		w.after(time.Hour)
		if _, err := w.q.Suspend(ctx, queue.Suspension{Domain: "example.org"}); err != nil {
			t.Fatal(err)
		}
		if err := w.q.Lift(ctx, queue.Suspension{Domain: "example.org"}); err != nil {
			t.Fatal(err)
		}
		w.q.Freeze(ctx)
		w.q.Thaw(ctx)
		w.q.Pause(ctx)
		w.q.Continue(ctx)
		w.q.RetryQueue(ctx, hop)
		for _, want := range []string{
			"example.net via out: suspend queue (dave, his own)", "example.net via out: end of the suspension: resume queue (dave, his own)",
			": suspend domain example.org (carol, a test)", ": resume domain example.org (carol, a test)",
			": freeze (carol, a test)", ": thaw (carol, a test)", ": pause (carol, a test)", ": continue (carol, a test)",
			"example.net via out: retry queue (carol, a test)",
		} {
			e := <-events.C
			if got := fmt.Sprintf("%s: %s (%s, %s)", e.Hop, e.Text, e.By, e.Reason); got != want || e.Kind != queue.EventOperation {
				t.Errorf("%v %q, want %q", e.Kind, got, want)
			}
		}
	})
}

func TestSuspendMistakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		hop := queue.NextHop{Destination: "example.net"}
		for _, tc := range []struct {
			s    queue.Suspension
			want string
		}{
			{queue.Suspension{}, "needs a Hop or a Domain"},
			{queue.Suspension{Hop: hop, Domain: "example.net"}, "not both"},
			{queue.Suspension{Domain: "exa mple"}, `"exa mple" cannot be suspended`},
			{queue.Suspension{Hop: hop, Until: time.Now()}, "in the past"},
			{queue.Suspension{Hop: hop, Reason: strings.Repeat("x", 1025)}, "more than 1024 bytes"},
			{queue.Suspension{Hop: hop, By: strings.Repeat("x", 257)}, "more than 1024 bytes, or By has more than 256"},
			{queue.Suspension{Hop: queue.NextHop{Destination: strings.Repeat("x", 1025)}}, "more than 1024 bytes"},
			{queue.Suspension{Hop: queue.NextHop{Destination: queue.SuspendedQueue}}, "set aside"},
		} {
			if _, err := w.q.Suspend(context.Background(), tc.s); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%.60v: %v, want %q", tc.s, err, tc.want)
			}
		}
		longest := queue.Suspension{Hop: queue.NextHop{Destination: strings.Repeat("x", 1024)}, Reason: strings.Repeat("x", 1024), By: strings.Repeat("x", 256)}
		if _, err := w.q.Suspend(context.Background(), longest); err != nil {
			t.Error(err)
		}
	})
}

// The number of suspensions is limited. Without a SuspensionStore, they are volatile.
func TestMostSuspensions(t *testing.T) {
	for _, store := range []queue.Store{new(memory.Store), plainStore{new(memory.Store)}} {
		q := &queue.Queue{Store: store, Deliverer: printer{}}
		_, keeps := store.(queue.SuspensionStore)
		domain := func(i int) queue.Suspension { return queue.Suspension{Domain: fmt.Sprintf("d%d.example", i)} }
		for i := range queue.MaxSuspensions {
			if s, err := q.Suspend(context.Background(), domain(i)); err != nil || s.Volatile == keeps {
				t.Fatalf("%+v, %v", s, err)
			}
		}
		if _, err := q.Suspend(context.Background(), domain(queue.MaxSuspensions)); !errors.Is(err, queue.ErrFull) {
			t.Errorf("%T: one too many: %v", store, err)
		}
		if _, err := q.Suspend(context.Background(), domain(7)); err != nil {
			t.Errorf("%T: replaced: %v", store, err)
		}
		if all, err := q.Suspensions(context.Background()); len(all) != queue.MaxSuspensions || err != nil {
			t.Errorf("%T: %d, %v", store, len(all), err)
		}
		if err := q.Lift(context.Background(), domain(7)); err != nil {
			t.Error(err)
		}
		if _, err := q.Suspend(context.Background(), domain(queue.MaxSuspensions)); err != nil {
			t.Errorf("%T: %v", store, err)
		}
	}
}

// A brokenStore cannot read or change suspensions while broken is set.
type brokenStore struct {
	*memory.Store
	broken atomic.Bool
}

var errBroken = errors.New("the disk is broken")

func (st *brokenStore) err() error {
	if st.broken.Load() {
		return errBroken
	}
	return nil
}

func (st *brokenStore) PutSuspension(ctx context.Context, s queue.Suspension) error {
	return errors.Join(st.err(), st.Store.PutSuspension(ctx, s))
}

func (st *brokenStore) RemoveSuspension(ctx context.Context, s queue.Suspension) error {
	if err := st.err(); err != nil {
		return err
	}
	return st.Store.RemoveSuspension(ctx, s)
}

func (st *brokenStore) Suspensions(ctx context.Context) ([]queue.Suspension, error) {
	if err := st.err(); err != nil {
		return nil, err
	}
	return st.Store.Suspensions(ctx)
}

// Without its suspensions a Queue delivers nothing: it waits for the Store.
func TestSuspensionsCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &brokenStore{Store: new(memory.Store)}
		for _, s := range []queue.Suspension{{Domain: "example.net"}, {Domain: "example.org", Until: time.Now().Add(-time.Hour)}} {
			if err := store.PutSuspension(context.Background(), s); err != nil {
				t.Fatal(err)
			}
		}
		store.broken.Store(true)
		w := newWorld(t, func(q *queue.Queue) { q.Store = store }).run()
		defer w.shutdown()
		if _, err := w.q.Suspensions(context.Background()); !errors.Is(err, errBroken) {
			t.Errorf("Suspensions: %v", err)
		}
		for _, to := range []string{"bob@example.net", "bob@example.org", "bob@example.com"} {
			w.submit("alice@example.com", to)
		}
		w.after(time.Hour)
		if c := w.took(); len(c) != 0 {
			t.Errorf("delivered: %v", c)
		}
		store.broken.Store(false)
		w.after(time.Minute)
		if c := w.took(); len(c) != 2 || strings.Contains(hopsOf(c), "example.net") {
			t.Errorf("delivered: %v", c)
		}
		if got := w.suspended(); got != "example.net (, )" {
			t.Error(got)
		}
		if all, err := store.Suspensions(context.Background()); len(all) != 1 || err != nil {
			t.Errorf("the store keeps one that has ended: %+v, %v", all, err)
		}
	})
}

// A Queue that waits for its suspensions can be shut down, and ends with its Store.
func TestShutdownWithoutSuspensions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &brokenStore{Store: new(memory.Store)}
		store.broken.Store(true)
		w := newWorld(t, func(q *queue.Queue) { q.Store = store }).run()
		w.after(time.Hour)
		w.shutdown()

		store.broken.Store(false)
		w = newWorld(t, func(q *queue.Queue) { q.Store = store })
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := w.q.Run(context.Background()); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Run: %v", err)
		}
	})
}

// If the Store cannot record a suspension, nothing is suspended. If it cannot
// remove one, the mail is delivered, and Lift can be called again.
func TestSuspensionsCannotBeRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &brokenStore{Store: new(memory.Store)}
		w := newWorld(t, func(q *queue.Queue) { q.Store = store }).run()
		defer w.shutdown()
		ctx, s := context.Background(), queue.Suspension{Domain: "example.net"}
		synctest.Wait()
		store.broken.Store(true)
		if _, err := w.q.Suspend(ctx, s); !errors.Is(err, errBroken) {
			t.Errorf("Suspend: %v", err)
		}
		w.submit("alice@example.com", "bob@example.net")
		if c := w.took(); len(c) != 1 || w.suspended() != "" {
			t.Errorf("delivered %v, suspended %s", c, w.suspended())
		}
		store.broken.Store(false)
		if _, err := w.q.Suspend(ctx, s); err != nil {
			t.Fatal(err)
		}
		w.submit("alice@example.com", "bob@example.net")
		store.broken.Store(true)
		if err := w.q.Lift(ctx, s); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "again after a restart") {
			t.Errorf("Lift: %v", err)
		}
		if c := w.took(); len(c) != 1 || w.suspended() != "" {
			t.Errorf("delivered %v, suspended %s", c, w.suspended())
		}
		store.broken.Store(false)
		if err := w.q.Lift(ctx, s); err != nil {
			t.Errorf("Lift again: %v", err)
		}
		if all, err := store.Suspensions(ctx); len(all) != 0 || err != nil {
			t.Errorf("%+v, %v", all, err)
		}
		if err := w.q.Lift(ctx, s); !errors.Is(err, queue.ErrNoSuspension) {
			t.Errorf("Lift of nothing: %v", err)
		}
	})
}
