package postgres

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// When most of a backlog has ended, the table of messages and its indexes become small
// again. With BRIDGEHEAD_MILLION, the test measures how long that takes for 400,000
// messages of which about 80,000 stay.
func TestShrink(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	n := large(400_000, 20_000)
	fillMixed(t, s, n)
	exec := func(sql string) {
		t.Helper()
		if err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(sql) }); err != nil {
			t.Fatal(err)
		}
	}
	const size = `select pg_total_relation_size('bridgehead.message')`
	const least = 128 << 10
	shrink := func() {
		t.Helper()
		if err := s.lookAtHealth(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.shrink(t.Context(), 0, least); err != nil {
			t.Fatal(err)
		}
	}
	full := one[int64](t, s, size)
	shrink()
	if got := one[int64](t, s, size); got != full {
		t.Errorf("the table is full, and has %d bytes, %d before", got, full)
	}
	// Which row is left has nothing to do with its place in the table.
	exec(`delete from bridgehead.message where hashtext(id) % 10 not in (0, 1, -1)`)
	left := one[int64](t, s, `select count(*) from bridgehead.message`)
	if s.lookAtHealth(t.Context()); s.shrink(t.Context(), time.Minute, least) != nil || one[int64](t, s, size) < full {
		t.Error("the table is written again before it was too large for a minute")
	}

	// A transaction that reads the table keeps it as it is.
	reader, err := s.db.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), `select from bridgehead.message limit 1`); err != nil {
		t.Fatal(err)
	}
	shrink()
	if one[int64](t, s, size) < full {
		t.Error("the table is written again while a transaction reads it")
	}
	if err := reader.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	shrink()
	took := time.Since(began)
	after := one[int64](t, s, size)
	t.Logf("%d bytes with %d messages, %d with %d after %v", full, n, after, left, took)
	if want := full * left / int64(n) * 11 / 10; after > want {
		t.Errorf("%d bytes, want at most %d", after, want)
	}
	if got := one[int64](t, s, `select count(*) from bridgehead.message`); got != left {
		t.Errorf("%d messages, %d before", got, left)
	}
	var rows, bytes int64
	if err := s.db.tx(t.Context(), func(b *pgx.Batch) {
		b.Queue(readRows).QueryRow(func(row pgx.Row) error { return row.Scan(&rows, &bytes, &after) })
	}); err != nil {
		t.Fatal(err)
	}
	if e := tableBytes(rows, bytes); e < after*2/3 || e > after*3/2 {
		t.Errorf("the estimate of %d bytes is %d", after, e)
	}
}

// Two nodes write the table again, all the time, while messages pass through. No message is
// lost, and no call fails.
func TestShrinkAtRandom(t *testing.T) {
	url := pgtest.Database(t)
	nodes := []*Store{open(t, url, &Options{Node: "a"}), open(t, url, &Options{Node: "b"})}
	const each = 150
	var work, service sync.WaitGroup
	stop := make(chan struct{})
	shrunk := 0
	service.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			err := nodes[i%2].db.tx(t.Context(), func(b *pgx.Batch) {
				b.Queue(`select bridgehead.shrink_messages()::integer`).QueryRow(func(row pgx.Row) error {
					var n int
					err := row.Scan(&n)
					shrunk += n
					return err
				})
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for w, s := range nodes {
		for v := range 2 {
			work.Go(func() {
				owner := fmt.Sprintf("%d-%d", w, v)
				for i := range each {
					m := plainMessage(fmt.Sprintf("m-%s-%d", owner, i), 100)
					if err := s.Put(t.Context(), m, queue.Schedule{}); err != nil {
						t.Error(err)
					}
				}
				for i := 0; i < each; {
					now := time.Now()
					ms, err := s.Claim(t.Context(), queue.Claim{Owner: owner, Now: now, Until: now.Add(time.Hour), Max: 10})
					if err != nil {
						t.Error(err)
						return
					}
					for _, m := range ms {
						if err := s.Remove(t.Context(), owner, m.ID); err != nil {
							t.Error(err)
						}
						i++
					}
					if len(ms) == 0 && one[int](t, s, `select count(*) from bridgehead.message where node is null`) == 0 {
						return
					}
				}
			})
		}
	}
	work.Wait()
	close(stop)
	service.Wait()
	for _, s := range nodes {
		if err := s.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := one[int](t, nodes[0], `select count(*) from bridgehead.message`); left != 0 || shrunk == 0 {
		t.Errorf("%d messages are left, the table was written %d times", left, shrunk)
	}
	t.Logf("the table was written %d times", shrunk)
}
