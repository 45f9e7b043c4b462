package postgres

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// diskUse is what a database uses on disk.
type diskUse struct{ total, message, indexes, contents, outcome, live int64 }

const readDiskUse = `
select array[pg_database_size(current_database()), pg_relation_size(m), pg_indexes_size(m),
	(select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'bridgehead.content'::regclass)::bigint,
	pg_total_relation_size('bridgehead.outcome'),
	(select coalesce(sum(size + pg_column_size(message)), 0) from bridgehead.message)::bigint]
from (values ('bridgehead.message'::regclass)) t (m)`

func (s *Store) diskUse(t testing.TB) diskUse {
	t.Helper()
	a := one[[]int64](t, s, readDiskUse)
	return diskUse{a[0], a[1], a[2], a[3], a[4], a[5]}
}

func (u diskUse) String() string {
	mib := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }
	return fmt.Sprintf("%s MiB: messages %s, their indexes %s, contents %s, outcomes %s; live %s",
		mib(u.total), mib(u.message), mib(u.indexes), mib(u.contents), mib(u.outcome), mib(u.live))
}

// A backlog is delivered, except for each hundredth message. Then the database needs at most
// twice the size of the live data, and 64 MiB, within 10 minutes. At the end, the rest is
// delivered too. With BRIDGEHEAD_MILLION, the backlog is 1,000,000 messages, and the
// Store does its maintenance. Otherwise the test does it, with smaller limits.
func TestDiskSize(t *testing.T) {
	full := large(1, 0) == 1
	s := open(t, pgtest.Database(t), &Options{Connections: 12})
	n, begin := int64(large(1_000_000, 2_000)), s.diskUse(t)
	t.Logf("before: %v", begin)
	backlog(t, s, n)
	t.Logf("%d messages are stored: %v", n, s.diskUse(t))
	small := func() {
		t.Helper()
		if full {
			waitForSize(t, s, 64<<20)
			return
		}
		for range 3 { // another slot becomes the current one; messages are moved; the slot is empty
			_, err := s.maintainSlots(t.Context(), 0, 512<<10)
			if err = errors.Join(err, s.lookAtHealth(t.Context()), s.shrink(t.Context(), 0, 512<<10)); err != nil {
				t.Fatal(err)
			}
		}
		if u := s.diskUse(t); u.total > begin.total+2*u.live+2<<20 {
			t.Errorf("too large: %v", u)
		}
	}
	deliverBacklog(t, s, n)
	t.Logf("they are delivered, except for %d: %v", n/100, s.diskUse(t))
	small()
	deliverRest(t, s)
	small()
}

// backlog stores n messages with 4 KiB each, from many clients.
func backlog(t *testing.T, s *Store, n int64) {
	content := plainMessage("x", 4<<10).Content
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				m := &queue.Message{ID: fmt.Sprintf("%08x", uint32(i)*2654435761), From: fmt.Sprintf("from%d@example.org", i),
					Recipients: queue.Rcpt(fmt.Sprintf("to%d@example.net", i)), Content: content, Received: time.Now()}
				if err := s.Put(t.Context(), m, queue.Schedule{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// deliverBacklog delivers n messages, except for each hundredth: it waits for an hour.
func deliverBacklog(t *testing.T, s *Store, n int64) {
	var seen atomic.Int64
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			owner := fmt.Sprint("q", w)
			for seen.Load() < n && !t.Failed() {
				now := time.Now()
				ms, err := s.Claim(t.Context(), queue.Claim{Owner: owner, Now: now, Until: now.Add(time.Hour), Max: 100})
				if err != nil {
					t.Error(err)
				}
				for _, m := range ms {
					if seen.Add(1)%100 == 0 {
						err = s.Update(t.Context(), owner, m, queue.Schedule{Due: now.Add(time.Hour)})
					} else {
						err = s.Remove(t.Context(), owner, m.ID)
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := s.settle(t.Context()); err != nil {
		t.Error(err)
	}
}

// deliverRest delivers all messages.
func deliverRest(t *testing.T, s *Store) {
	now := time.Now()
	for e, err := range s.List(t.Context(), queue.Query{}) {
		if err == nil {
			_, err = s.Claim(t.Context(), queue.Claim{Owner: "q", Now: now, Until: now.Add(time.Hour), ID: e.ID})
		}
		if err == nil {
			err = s.Remove(t.Context(), "q", e.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.settle(t.Context()); err != nil {
		t.Error(err)
	}
}

// waitForSize waits until the database has at most twice the size of the live data and
// more, for 10 minutes.
func waitForSize(t *testing.T, s *Store, more int64) {
	t.Helper()
	began, last := time.Now(), int64(0)
	for range time.Tick(10 * time.Second) {
		u, d := s.diskUse(t), time.Since(began).Round(time.Second)
		if u.total>>20 != last {
			t.Logf("after %v: %v", d, u)
		}
		last = u.total >> 20
		switch {
		case u.total <= 2*u.live+more:
			t.Logf("that is small enough after %v", d)
			return
		case d > 10*time.Minute:
			t.Errorf("it is not small enough after %v", d)
			return
		}
	}
}
