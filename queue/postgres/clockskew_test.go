package postgres

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A skewed is a node whose clocks, that of its Queue and that of its system, are wrong.
type skewed struct {
	*Store
	skew time.Duration
}

func (s skewed) now() time.Time { return time.Now().Add(s.skew) }

func (s skewed) claim() queue.Claim {
	now := s.now()
	return queue.Claim{Owner: s.Name(), Now: now, Wall: now, Until: now.Add(time.Hour), Max: 100}
}

// take claims all messages, and fails if they are not those that are wanted.
func (s skewed) take(t *testing.T, what string, want ...string) (ms []*queue.Message) {
	t.Helper()
	s.lanes.forget() // it looks at the database now, not in a moment
	ms, err := s.Claim(t.Context(), s.claim())
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, m := range ms {
		ids = append(ids, m.ID)
	}
	if fmt.Sprint(ids) != fmt.Sprint(append([]string{}, want...)) {
		t.Errorf("%s: node %s claimed %v, want %v", what, s.Name(), ids, want)
	}
	return ms
}

// next fails if Next does not return a time that is after the present by d.
func (s skewed) next(t *testing.T, what string, d time.Duration) {
	t.Helper()
	s.lanes.forget()
	next, err := s.Next(t.Context(), s.claim())
	if err != nil {
		t.Fatal(err)
	}
	if got := next.Sub(s.now()); !near(got, d) {
		t.Errorf("%s: node %s waits for %v, want %v", what, s.Name(), got, d)
	}
}

// near allows for the time that the test takes, which is much less than the skew.
func near(got, want time.Duration) bool { return (got - want).Abs() < 2*time.Minute }

// The clocks of two nodes are five minutes ahead and behind. Messages are due at the right
// time on both, whichever has written them.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{5 * time.Minute, -5 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			url := pgtest.Database(t)
			a := skewed{open(t, url, &Options{Node: "a"}), skew}
			b := skewed{open(t, url, &Options{Node: "b"}), -skew}
			put := func(s skewed, id string, sched queue.Schedule) *queue.Message {
				t.Helper()
				m := newMessage(id)
				if err := s.Put(t.Context(), m, sched); err != nil {
					t.Fatal(err)
				}
				return m
			}
			a.take(t, "an empty queue") // the Stores learn the clocks of the Queues
			b.take(t, "an empty queue")

			// A new message is due at once for both.
			put(a, "m1", queue.Schedule{})
			b.take(t, "a new message", "m1")
			put(b, "m2", queue.Schedule{})
			a.take(t, "a new message", "m2")

			// A retry: the Wait counts, by any clock.
			m := put(a, "m3", queue.Schedule{Owner: "a", Until: a.now().Add(time.Hour)})
			m.Recipients[0].Attempts = 1
			m.Recipients[0].LastAttempt = a.now()
			m.Recipients[0].NextAttempt, m.Recipients[0].RetryWait = a.now().Add(time.Hour), time.Hour
			if err := a.Update(t.Context(), "a", m, queue.Schedule{Due: a.now().Add(time.Hour), Wait: time.Hour}); err != nil {
				t.Fatal(err)
			}
			a.next(t, "a retry", time.Hour)
			b.next(t, "a retry", time.Hour)
			b.take(t, "a retry that is not due")
			c := b.claim()
			c.ID = "m3"
			ms, err := b.Claim(t.Context(), c)
			if err != nil || len(ms) != 1 {
				t.Fatalf("%d messages, %v", len(ms), err)
			}
			r := ms[0].Recipients[0]
			if got := r.NextAttempt.Sub(b.now()); !near(got, time.Hour) {
				t.Errorf("the next attempt is in %v by the clock of the other node", got)
			}
			if got := r.LastAttempt.Sub(b.now()); !near(got, 0) {
				t.Errorf("the last attempt was %v ago by the clock of the other node", -got)
			}
			// The wait has ended, by the clock of the node that writes it.
			if err := b.Update(t.Context(), "b", ms[0], queue.Schedule{Due: b.now().Add(-time.Second), Wait: time.Hour}); err != nil {
				t.Fatal(err)
			}
			b.settle(t.Context())
			a.take(t, "a retry that is due", "m3")

			// A lease: its end counts by the clock of its owner.
			put(a, "m4", queue.Schedule{Owner: "a", Until: a.now().Add(time.Minute)})
			a.take(t, "a message that is leased")
			b.take(t, "a message that is leased")
			put(a, "m5", queue.Schedule{Owner: "a", Until: a.now().Add(-time.Second)})
			if err := a.endLeases(t.Context(), a.now()); err != nil {
				t.Fatal(err)
			}
			b.take(t, "a message whose lease has ended", "m5")

			// A release is at a time of day, by the clock of the database. A node whose
			// clock is behind leaves the message to others.
			put(a, "m6", queue.Schedule{Due: time.Now().Add(2 * time.Minute)})
			put(a, "m7", queue.Schedule{Due: time.Now().Add(-2 * time.Minute)})
			ahead, behind := a, b
			if skew < 0 {
				ahead, behind = b, a
			}
			behind.take(t, "a release that is in the future for this node")
			ahead.take(t, "a release that has come", "m7")
		})
	}
}

// The clocks of two nodes are ten minutes apart, and one stops. The other takes its
// messages over, and those that wait for a retry still do.
func TestTakeoverWithClocksApart(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a := skewed{open(t, url, quick("a")), 5 * time.Minute}
	b := skewed{open(t, url, quick("b")), -5 * time.Minute}
	a.take(t, "an empty queue")
	b.take(t, "an empty queue")
	b.node.mu.Lock() // b does not beat any more
	defer sync.OnceFunc(b.node.mu.Unlock)()
	if err := b.Put(t.Context(), newMessage("leased"), queue.Schedule{Owner: "b", Until: b.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	m := newMessage("retry")
	if err := b.Put(t.Context(), m, queue.Schedule{Due: b.now().Add(time.Hour), Wait: time.Hour}); err != nil {
		t.Fatal(err)
	}
	var got []string
	eventually(t, "the message is taken over", func() bool {
		got = append(got, claimed(t, a.Store, a.claim())...)
		return len(got) > 0
	})
	if len(got) != 1 || got[0] != "leased" {
		t.Errorf("claimed %v", got)
	}
	c := a.claim()
	eventually(t, "the retry is known", func() bool {
		next, err := a.Next(t.Context(), c)
		return err == nil && near(next.Sub(c.Now), time.Hour)
	})
}
