package postgres

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/queuetest"
)

// The Store passes the tests of all Stores. The clock of its database is that of the
// test: see simulation.
func TestStore(t *testing.T) {
	urls := &databases{}
	queuetest.Test(t, queuetest.Config{
		Durable: true,
		Open: func(t *testing.T, dir string) queue.Store {
			o := &Options{simulated: true, Journal: filepath.Join(dir, "journal")}
			return &simulation{Store: open(t, urls.url(t, dir), o)}
		},
		Damage: func(t *testing.T, dir string, before, after []byte) { damage(t, urls.url(t, dir), before, after) },
	})
}

// crashURL is the environment variable with the database of the child processes of
// TestCrash.
const crashURL = "BRIDGEHEAD_CRASH_DATABASE"

// The Store keeps what it has acknowledged when its process is killed.
func TestCrash(t *testing.T) {
	if os.Getenv(crashURL) == "" {
		t.Setenv(crashURL, pgtest.Database(t))
	}
	queuetest.Crash(t, queuetest.Config{
		Durable: true,
		Open: func(t *testing.T, dir string) queue.Store {
			awaitNoSessions(t, os.Getenv(crashURL))
			return open(t, os.Getenv(crashURL), &Options{Journal: filepath.Join(dir, "journal")})
		},
	}, 10)
}

// awaitNoSessions waits until the server has ended the sessions of a process that was
// killed. Until then it may commit what the process has sent, for example a Put
// whose success was not seen.
func awaitNoSessions(t *testing.T, url string) {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	peers.Await(t, "the sessions of the last process end", func() bool {
		var n int
		err := conn.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
}

// databases has a database for each directory of a test.
type databases struct {
	mu   sync.Mutex
	urls map[string]string
}

func (d *databases) url(t *testing.T, dir string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.urls == nil {
		d.urls = make(map[string]string)
	}
	if d.urls[dir] == "" {
		d.urls[dir] = pgtest.Database(t)
	}
	return d.urls[dir]
}

// damage replaces bytes in all columns with the bytes of messages.
func damage(t *testing.T, url string, before, after []byte) {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	replaced := int64(0)
	for _, sql := range []string{
		`update bridgehead.message set envelope = overlay(envelope placing $2 from position($1 in envelope)) where position($1 in envelope) > 0`,
		`update bridgehead.message set state = overlay(state placing $2 from position($1 in state)) where position($1 in state) > 0`,
		`update bridgehead.content set data = overlay(data placing $2 from position($1 in data)) where position($1 in data) > 0`,
	} {
		tag, err := conn.Exec(t.Context(), sql, before, after)
		if err != nil {
			t.Fatal(err)
		}
		replaced += tag.RowsAffected()
	}
	if replaced == 0 {
		t.Fatal("no row has the bytes to damage")
	}
}

// A simulation is a Store on a database whose clock the test sets: Claim.Now is the
// time of the Queue and of the database, and Claim.Wall is that of the wall clock.
//
// In reality, the clock of the database is a wall clock, so a Due without a Wait needs
// no correction when it is set. Here it does, because the clock of the database is that
// of Claim.Now.
type simulation struct {
	*Store
	ahead time.Duration // of the wall clock, at the last Claim or Next
}

func (s *simulation) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	if err := s.set(ctx, c); err != nil {
		return nil, err
	}
	return s.Store.Claim(ctx, c)
}

func (s *simulation) Next(ctx context.Context, c queue.Claim) (time.Time, error) {
	if err := s.set(ctx, c); err != nil {
		return time.Time{}, err
	}
	return s.Store.Next(ctx, c)
}

// Close forgets when the leases ended that were over, as queuetest expects of a store
// that is opened again. In reality, the other nodes go on, and remember it.
func (s *simulation) Close() error {
	if s.check(context.Background()) == nil {
		if err := s.settle(context.Background()); err != nil {
			return err
		}
		if err := s.db.tx(context.Background(), func(b *pgx.Batch) {
			b.Queue(`update bridgehead.message set ready = coalesce(due, $1) where node is null`, int64(math.MinInt64))
		}); err != nil {
			return err
		}
	}
	return s.Store.Close()
}

// set sets the wall clock of the database.
func (s *simulation) set(ctx context.Context, c queue.Claim) error {
	ahead := time.Duration(0)
	if !c.Wall.IsZero() {
		ahead = c.Wall.Sub(c.Now)
	}
	if ahead == s.ahead {
		return nil
	}
	s.ahead = ahead
	s.lanes.forget()
	return s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(`update bridgehead.message set ready = due - $1 where wait = 0 and due is not null and node is null`, int64(ahead))
	})
}
