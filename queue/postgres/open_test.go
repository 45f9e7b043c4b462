package postgres

import (
	"errors"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
)

// open opens a Store that is closed at the end of the test.
func open(t testing.TB, url string, o *Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// one returns the one value that a query returns.
func one[T any](t testing.TB, s *Store, query string, args ...any) (v T) {
	t.Helper()
	err := s.db.tx(t.Context(), func(b *pgx.Batch) {
		b.Queue(query, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&v) })
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// Nodes that start at the same time on an empty database create its tables once.
func TestOpenTogether(t *testing.T) {
	url := pgtest.Database(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(t.Context(), url, &Options{Connections: 3})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := open(t, url, nil)
	if n := one[int](t, s, "select count(*) from bridgehead.schema_version"); n != schemaVersion {
		t.Errorf("%d versions are recorded", n)
	}
}

func TestClose(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	select {
	case <-s.Closed():
		t.Fatal("closed before Close")
	default:
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.Closed()
	if err := s.Close(); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("the second Close: %v", err)
	}
	if err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue("select 1") }); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("a transaction after Close: %v", err)
	}
}

// When Sync returns, the server has flushed its log.
func TestSyncIsDurable(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	const flushed = "select (pg_current_wal_flush_lsn() - '0/0')::bigint"
	before := one[int64](t, s, flushed)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := one[int64](t, s, flushed); after <= before {
		t.Errorf("Sync has flushed nothing: %d, before %d", after, before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context()); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Sync after Close: %v", err)
	}
}
