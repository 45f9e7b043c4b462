package postgres

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// manyRecipients returns a message with n recipients.
func manyRecipients(id string, n int) *queue.Message {
	m := newMessage(id)
	rcpts := make([]string, n)
	for i := range rcpts {
		rcpts[i] = fmt.Sprintf("user%06d@example.net", i)
	}
	m.Recipients = queue.Rcpt(rcpts...)
	return m
}

// deliver records the delivery to a recipient, as the Queue does.
func deliver(t testing.TB, s *Store, m *queue.Message, i int) {
	t.Helper()
	r := m.Recipients[i]
	r.Status, r.Attempts, r.LastAttempt = queue.Delivered, r.Attempts+1, received.Add(time.Duration(i)*time.Minute)
	if err := s.UpdateRecipients(t.Context(), "a", m, []int{i}, leasedTo("a")); err != nil {
		t.Fatal(err)
	}
}

// written returns how many bytes of states and parts have been written to the database.
func written(t testing.TB, s *Store) int {
	t.Helper()
	return one[int](t, s, `select coalesce((select sum(bytes) from public.written), 0)
		+ coalesce((select sum(length(data)) from bridgehead.content where n < 0), 0)`)
}

// The bytes that are written for the results of a message grow with the number of its
// recipients, and not with its square, when the results are recorded one at a time.
func TestPartsAreLinear(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue("create table public.written (bytes integer)") })
	if err != nil {
		t.Fatal(err)
	}
	triggerOnUpdate(t, s, "if new.state <> old.state then insert into public.written values (length(new.state)); end if;")
	cost := func(n int) int {
		m := manyRecipients(fmt.Sprint("m", n), n)
		if err := s.Put(t.Context(), m, leasedTo("a")); err != nil {
			t.Fatal(err)
		}
		before := written(t, s)
		for i := range m.Recipients {
			deliver(t, s, m, i)
			if err := s.settle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return written(t, s) - before
	}
	small, large := cost(60), cost(120)
	if small == 0 || large > 5*small/2 {
		t.Errorf("%d bytes for the results of 60 recipients, %d for 120", small, large)
	}
}

// What is read is what was recorded, whichever mixture of parts and whole states it is.
func TestPartsAreRead(t *testing.T) {
	url := pgtest.Database(t)
	s := open(t, url, nil)
	m := manyRecipients("m1", 80)
	if err := s.Put(t.Context(), m, leasedTo("a")); err != nil {
		t.Fatal(err)
	}
	// Two Stores measure the clock of the database, with small errors.
	check := func(what string) {
		t.Helper()
		got, err := s.Get(t.Context(), "m1")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got.Interrupted != m.Interrupted || len(got.Recipients) != len(m.Recipients) {
			t.Fatalf("%s: Interrupted is %d, and there are %d recipients", what, got.Interrupted, len(got.Recipients))
		}
		for i, r := range m.Recipients {
			g := got.Recipients[i]
			if g.Addr != r.Addr || g.Status != r.Status || g.Attempts != r.Attempts || g.LastAttempt.Sub(r.LastAttempt).Abs() > 30*time.Second {
				t.Fatalf("%s: recipient %d is %+v, want %+v", what, i, g, r)
			}
		}
	}
	check("no part")
	deliver(t, s, m, 3)
	deliver(t, s, m, 5)
	check("two recipients in one part")
	m.Interrupted = 2
	deliver(t, s, m, 3) // again
	check("a later part")
	m.Recipients = m.Recipients[:70]
	deliver(t, s, m, 7)
	if err := s.Update(t.Context(), "a", m, leasedTo("a")); err != nil {
		t.Fatal(err)
	}
	check("a whole state after parts, in one group")
	m.Recipients[9].Attempts = 4
	if err := s.Update(t.Context(), "a", m, leasedTo("a")); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, m, 11)
	check("a part after a whole state, in one group")
	deliver(t, s, m, 13)
	check("a part after that")

	// Contents that move to another slot take the parts with them.
	if _, err := s.moveStragglers(t.Context(), 0, 1); err != nil {
		t.Fatal(err)
	}
	if slot := one[int](t, s, "select slot from bridgehead.message"); slot != 1 {
		t.Fatalf("the slot is %d", slot)
	}
	run(t, s.db, "delete from bridgehead.content where slot = 0")
	check("in another slot")
	deliver(t, s, m, 15)
	check("a part in the other slot")

	// Another node reads them with Claim.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, url, nil)
	ms, err := s.Claim(t.Context(), queue.Claim{Owner: "b", Max: 1, Now: time.Now(), Wall: time.Now(), Until: time.Now().Add(time.Hour)})
	if err != nil || len(ms) != 1 {
		t.Fatalf("Claim: %d messages, %v", len(ms), err)
	}
	for i, r := range m.Recipients {
		if g := ms[0].Recipients[i]; g.Status != r.Status || g.Attempts != r.Attempts {
			t.Errorf("recipient %d is %+v, want %+v", i, g, r)
		}
	}
	check("after Claim")

	// A message with the same ID has none of them.
	if err := s.Remove(t.Context(), "b", "m1"); err != nil {
		t.Fatal(err)
	}
	m = manyRecipients("m1", 80)
	if err := s.Put(t.Context(), m, leasedTo("a")); err != nil {
		t.Fatal(err)
	}
	check("another message with the ID")
	deliver(t, s, m, 1)
	check("a part of it")
}

// A part of a message that is lost or damaged is found. It is not mistaken for none.
func TestPartsAreChecked(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	for i, damage := range []string{
		"delete from bridgehead.content where n = -2",
		"update bridgehead.content set data = set_byte(data, 20, get_byte(data, 20) # 1) where n = -2",
	} {
		m := manyRecipients(fmt.Sprint("m", i), 60)
		if err := s.Put(t.Context(), m, leasedTo("a")); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			deliver(t, s, m, n)
			if err := s.settle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		run(t, s.db, damage)
		if _, err := s.Get(t.Context(), m.ID); !errors.Is(err, queue.ErrDamaged) {
			t.Errorf("%s: %v", damage, err)
		}
		run(t, s.db, "delete from bridgehead.message")
	}
}

// A part for a lease that is lost is not recorded, and takes no space.
func TestPartNeedsLease(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	m := manyRecipients("m1", 60)
	if err := s.Put(t.Context(), m, leasedTo("a")); err != nil {
		t.Fatal(err)
	}
	run(t, s.db, "update bridgehead.message set lease = lease + 1")
	deliver(t, s, m, 1)
	if err := s.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, s, "select count(*) from bridgehead.content where n < 0"); n != 0 {
		t.Errorf("%d parts", n)
	}
	if got, err := s.Get(t.Context(), "m1"); err != nil || slices.ContainsFunc(got.Recipients, func(r *queue.Recipient) bool { return r.Attempts > 0 }) {
		t.Errorf("a result is recorded: %v", err)
	}
}

// BenchmarkUpdateRecipients records the results of a message one at a time, each in a
// transaction of its own. "WAL/result" is what the server writes for one, in bytes.
func BenchmarkUpdateRecipients(b *testing.B) {
	for _, n := range []int{50, 1000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b, pgtest.Start(b).Database(b), nil)
			m := manyRecipients("m1", n)
			if err := s.Put(b.Context(), m, leasedTo("a")); err != nil {
				b.Fatal(err)
			}
			const wal = "select (pg_current_wal_insert_lsn() - '0/0')::bigint"
			before := one[int64](b, s, wal)
			i := 0
			for b.Loop() {
				deliver(b, s, m, i%n)
				if err := s.settle(b.Context()); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(one[int64](b, s, wal)-before)/float64(i), "WAL/result")
		})
	}
}
