package postgres

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

func tidyNow(t *testing.T, s *Store) {
	t.Helper()
	s.content.Lock()
	s.content.tidied = time.Time{}
	s.content.Unlock()
	if err := s.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The row of a next hop that is not used is removed, and a next hop that is used again gets
// another number. Nodes that know the old number do not use it.
func TestHopsAreRemoved(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	hop := func(name string) queue.NextHop { return queue.NextHop{Connector: "internet", Destination: name} }
	id := func(name string) int32 {
		t.Helper()
		id, err := s.hops.id(t.Context(), hop(name))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		if err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(sql, args...) }); err != nil {
			t.Fatal(err)
		}
	}
	// age makes all rows, and what the Store knows, older.
	age := func(d time.Duration) {
		exec(`update bridgehead.hop set used = used - $1::bigint * interval '1 second'`, int64(d.Seconds()))
		s.hops.mu.Lock()
		defer s.hops.mu.Unlock()
		for hop, known := range s.hops.ids {
			known.read = known.read.Add(-d)
			s.hops.ids[hop] = known
		}
	}
	stored := func(name string) bool {
		return one[bool](t, s, `select exists (select from bridgehead.hop where destination = $1)`, name)
	}
	const waits, leased, recent, unused, suspended = "waits.example", "leased.example", "recent.example", "unused.example", "(suspended)"
	m := plainMessage("m", 10)
	if err := s.Put(t.Context(), m, queue.Schedule{Hop: hop(waits)}); err != nil {
		t.Fatal(err)
	}
	m.ID = "n"
	if err := s.Put(t.Context(), m, queue.Schedule{Hop: hop(leased), Owner: "q", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	id(recent)
	old := id(unused)
	age(36 * time.Hour)
	// A use after more than hopFresh is written.
	if again := id(recent); again != s.hops.ids[hop(recent)].id {
		t.Errorf("the number has changed to %d", again)
	}
	age(13 * time.Hour)
	tidyNow(t, s)
	for name, want := range map[string]bool{waits: true, leased: true, recent: true, unused: false, suspended: true} {
		if stored(name) != want {
			t.Errorf("%s is stored: %t, want %t", name, !want, want)
		}
	}
	if _, ok, err := s.hops.find(t.Context(), hop(unused)); ok || err != nil {
		t.Errorf("the hop that was removed is found: %t, %v", ok, err)
	}
	if again := id(unused); again == old {
		t.Error("a number is used again")
	}
	// A known number costs no number of the sequence.
	before := id("before.example")
	for range 3 {
		age(13 * time.Hour)
		id(waits)
	}
	if after := id("after.example"); after != before+1 {
		t.Errorf("the numbers %d and %d follow each other", before, after)
	}
	// A message with a number that is removed in spite of all this waits for the zero hop.
	exec(`update bridgehead.message set hop = 999999 where id = 'm'`)
	now := time.Now()
	ms, err := s.Claim(t.Context(), queue.Claim{Owner: "p", Now: now, Until: now.Add(time.Hour), Max: 1})
	if err != nil || len(ms) != 1 || ms[0].ID != "m" {
		t.Errorf("claimed %d messages, %v", len(ms), err)
	}
}

// What many messages and restarts leave in the tables does not depend on their number.
func TestTablesAreBounded(t *testing.T) {
	url := pgtest.Database(t)
	tables := []string{"message", "node", "notice", "drain", "outcome", "damaged", "suspension", "hop", "seed", "slot"}
	rows := func(s *Store) map[string]int {
		n := map[string]int{}
		for _, table := range tables {
			n[table] = one[int](t, s, "select count(*) from "+pgx.Identifier{"bridgehead", table}.Sanitize())
		}
		return n
	}
	journal := filepath.Join(t.TempDir(), "journal")
	var first map[string]int
	for start := range 3 {
		s := open(t, url, &Options{Node: "a", Journal: journal})
		for i := range 15 {
			m := plainMessage(fmt.Sprint("m", i), 10)
			if err := s.Put(t.Context(), m, queue.Schedule{Owner: "q", Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			s.Begin(m.ID)
			if err := s.Update(t.Context(), "q", m, queue.Schedule{Owner: "q", Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			if err := s.Remove(t.Context(), "q", m.ID); err != nil {
				t.Fatal(err)
			}
			s.End(m.ID)
			s.Notify(queue.Notice{Kind: queue.NoticeRetry})
			d := queue.Draining{Node: "a", By: "test", Reason: "test"}
			for range 2 {
				if err := s.Drain(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				d.Off = true
			}
			p := queue.Suspension{Domain: "example.com", Since: time.Now()}
			if err := s.PutSuspension(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if err := s.RemoveSuspension(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, url, &Options{Node: "cleaner"})
		// All that was written has become older than anything is kept.
		if err := s.db.tx(t.Context(), func(b *pgx.Batch) {
			b.Queue(`update bridgehead.node set beat_at = beat_at - interval '31 days', started = started - interval '31 days' where state <> 'alive'`)
			b.Queue(`update bridgehead.notice set at = at - interval '31 days'`)
			b.Queue(`update bridgehead.outcome set at = at - interval '31 days'`)
			b.Queue(`update bridgehead.hop set used = used - interval '31 days'`)
		}); err != nil {
			t.Fatal(err)
		}
		s.node.clean(t.Context())
		tidyNow(t, s)
		n := rows(s)
		if start == 0 {
			first = n
			t.Logf("rows: %v", n)
		}
		for _, table := range tables {
			if n[table] > first[table] || n[table] > 5 {
				t.Errorf("after start %d, table %s has %d rows, %d after the first", start, table, n[table], first[table])
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
