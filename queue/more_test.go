package queue_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

func TestClass(t *testing.T) {
	result := func(o queue.Outcome, host string, code int, e smtp.EnhancedCode) queue.Result {
		return queue.Result{Outcome: o, Host: host, Reply: smtp.SMTPError{Code: code, EnhancedCode: e}}
	}
	for _, test := range []struct {
		r    queue.Result
		want queue.Class
	}{
		{ok, queue.ClassNone},
		{queue.Result{}, queue.ClassNone},
		{result(queue.Deferred, "mx", 450, smtp.EnhancedCode{4, 2, 0}), queue.ClassTemporary},
		{result(queue.Failure, "mx", 550, smtp.EnhancedCode{5, 1, 1}), queue.ClassPermanent},
		{result(queue.Failure, "mx", 550, smtp.EnhancedCode{5, 7, 1}), queue.ClassPolicy},
		{result(queue.Unreachable, "", 451, smtp.EnhancedCode{4, 7, 5}), queue.ClassPolicy},
		{result(queue.Unreachable, "", 421, smtp.EnhancedCode{4, 4, 1}), queue.ClassNetwork},
		{result(queue.Unreachable, "mx", 421, smtp.EnhancedCode{4, 3, 2}), queue.ClassNetwork},
		{result(queue.Deferred, "", 451, smtp.EnhancedCode{4, 4, 2}), queue.ClassNetwork},
		{result(queue.Unreachable, "", 451, smtp.EnhancedCode{4, 4, 3}), queue.ClassDNS},
		{result(queue.Failure, "", 550, smtp.EnhancedCode{5, 4, 4}), queue.ClassDNS},
		{result(queue.Failure, "", 556, smtp.EnhancedCode{5, 1, 10}), queue.ClassDNS},
		{result(queue.Deferred, "", 451, smtp.EnhancedCode{4, 3, 0}), queue.ClassLocal},
	} {
		if got := test.r.Class(); got != test.want {
			t.Errorf("%+v: %v, want %v", test.r, got, test.want)
		}
	}
}

// The default policy: 10, 10, 10, then every 15 minutes, a tenth more or
// less, so that what failed together does not come again together.
func TestRetryDefaults(t *testing.T) {
	var r queue.Retry
	for n, want := range map[int]time.Duration{1: 10 * time.Minute, 2: 10 * time.Minute, 3: 10 * time.Minute, 4: 15 * time.Minute, 100: 15 * time.Minute} {
		seen := map[time.Duration]bool{}
		for range 100 {
			got := r.Wait(n, nil)
			seen[got] = true
			if got < want*9/10 || got > want*11/10 {
				t.Errorf("after attempt %d: %v, want %v", n, got, want)
			}
		}
		if len(seen) < 50 {
			t.Errorf("after attempt %d: only %d different waits", n, len(seen))
		}
	}
	if notice, expiry := r.Patience(&queue.Message{}); notice != 12*time.Hour || expiry != 48*time.Hour {
		t.Errorf("notice %v, expiry %v", notice, expiry)
	}
}

// A host that comes back after an outage is not run over by what has waited
// for it.
func TestNoStampede(t *testing.T) {
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

// What does not fit into memory waits in the store, and is delivered from
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
			m.Content = queue.String(strings.Repeat("x", 600))
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

// A subscriber that does not read loses events, and knows how many; nobody
// waits for it.
func TestSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil).run()
		defer w.shutdown()
		synctest.Wait()
		s := w.q.Subscribe(3)
		for range 10 {
			w.submit("alice@example.com", "bob@example.net")
		}
		if c := w.took(); len(c) != 10 {
			t.Errorf("%d delivered", len(c))
		}
		if len(s.C) != 3 || s.Dropped() != 17 { // each message is received and sent
			t.Errorf("%d events, %d dropped", len(s.C), s.Dropped())
		}
		s.Close()
		s.Close()
		w.submit("alice@example.com", "bob@example.net")
		w.took()
		if s.Dropped() != 17 {
			t.Error("a closed subscription goes on")
		}
	})
}

// Content that cannot be read any more does not keep the sender from being
// told.
func TestDamagedContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Store = damagingStore{q.Store.(*memory.Store)} })
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if d, is := m.Content.(damaged); is {
				d.bad.Store(true)
				return says(550, smtp.EnhancedCode{5, 6, 0}, "no")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		for _, from := range []string{"alice@example.com", ""} {
			m := message(from, "bob@example.net")
			if err := w.q.Submit(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		if got := actions(t, w.took()); !slices.Equal(got, []string{"bob@example.net failed 5.6.0"}) {
			t.Errorf("%q", got)
		}
		if ids := w.ids(queue.Filter{Status: queue.MessageBad}); len(ids) != 1 || w.stored() != 1 {
			t.Errorf("bad mail %q, %d stored", ids, w.stored())
		}
	})
}

// A damagingStore hands content out that will be damaged.
type damagingStore struct{ *memory.Store }

func (s damagingStore) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	err := s.Store.Put(ctx, m, sch)
	if !m.System {
		m.Content = damaged{new(atomic.Bool)}
	}
	return err
}

// damaged is content that cannot be read any more from some moment on.
type damaged struct{ bad *atomic.Bool }

const undamaged = "Subject: x\r\n\r\nx\r\n"

func (d damaged) Size() int64 { return int64(len(undamaged)) }

func (d damaged) ReadAt(b []byte, off int64) (int, error) {
	if d.bad.Load() {
		return 0, queue.ErrDamaged
	}
	return strings.NewReader(undamaged).ReadAt(b, off)
}

func (d damaged) WriteTo(w io.Writer) (int64, error) {
	if d.bad.Load() {
		return 0, queue.ErrDamaged
	}
	n, err := io.WriteString(w, undamaged)
	return int64(n), err
}

// To a sender who can take UTF-8, the report is in UTF-8.
func TestReportInUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "example.net" {
				return says(550, smtp.EnhancedCode{5, 1, 1}, "no")
			}
			if !m.Options.UTF8 || m.Options.Body != smtp.Body8BitMIME {
				t.Errorf("the report's options: %+v", m.Options)
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := message("chloé@example.com", "jörg@example.net")
		m.Options.UTF8 = true
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		if got := actions(t, w.took()); !slices.Equal(got, []string{"jörg@example.net failed 5.1.1"}) {
			t.Errorf("%q", got)
		}
	})
}

// The messages of a queue that vanished are delivered by another when its
// leases have run out, and not before.
func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		first := hanging{w}
		first.q.Deliverer = first
		ctx, vanish := context.WithCancel(context.Background())
		cut := &cutStore{Store: w.store}
		first.q.Store = cut
		go func() { w.ended <- first.q.Run(ctx) }()
		synctest.Wait()
		w.submit("alice@example.com", "bob@example.net")
		w.after(time.Hour) // it renews its lease all the while
		second := newWorld(t, func(q *queue.Queue) { q.Store = w.store }).run()
		defer second.shutdown()
		second.after(time.Hour)
		if c := second.took(); len(c) != 0 {
			t.Fatalf("delivered although the first has it in hand: %v", c)
		}
		cut.off.Store(true)
		vanish()
		if err := <-w.ended; err != nil {
			t.Error(err)
		}
		second.after(12 * time.Minute)
		if c := second.took(); len(c) != 1 {
			t.Errorf("%v", c)
		}
	})
}

// A cutStore is one that a node does not reach any more.
type cutStore struct {
	*memory.Store
	off atomic.Bool
}

func (s *cutStore) Update(ctx context.Context, owner string, m *queue.Message, sch queue.Schedule) error {
	if s.off.Load() {
		return io.ErrUnexpectedEOF
	}
	return s.Store.Update(ctx, owner, m, sch)
}
