package postgres

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
)

// A logged keeps what is logged.
type logged struct {
	sync.Mutex
	text strings.Builder // guarded by Mutex
}

func (l *logged) Write(b []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.text.Write(b)
}

func (l *logged) has(text string) bool {
	l.Lock()
	defer l.Unlock()
	return strings.Contains(l.text.String(), text)
}

// A canceler is the output of a log. It is called when Open logs that it waits.
type canceler func()

func (c canceler) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("waiting for the database")) {
		c()
	}
	return len(b), nil
}

// usable reports whether the Store can record.
func usable(t *testing.T, s *Store) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return s.Sync(ctx)
}

// The same Store works again after each kind of end of the server or its connections.
func TestReconnects(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	for name, o := range modes {
		s := open(t, url, &o)
		for _, outage := range []struct {
			name string
			down func()
			up   func()
		}{
			{name: "terminated", down: func() { server.Terminate(t) }},
			{name: "shutdown", down: func() { server.Shutdown(t) }, up: func() { server.Up(t) }},
			{name: "kill -9", down: func() { server.Kill9(t) }, up: func() { server.Up(t) }},
		} {
			t.Run(name+" "+outage.name, func(t *testing.T) {
				if err := usable(t, s); err != nil {
					t.Fatal(err)
				}
				outage.down()
				if outage.up != nil {
					// The first error may be that of a connection, the second is
					// that of the server.
					for range 2 {
						if err := usable(t, s); !errors.Is(err, queue.ErrUnavailable) {
							t.Errorf("without the server: %v", err)
						}
					}
					if err := s.StoreStats().Err; !errors.Is(err, queue.ErrUnavailable) {
						t.Errorf("StoreStats: %v", err)
					}
					outage.up()
				}
				// All connections may be broken. The first error closes them all.
				if err := usable(t, s); err != nil {
					if !errors.Is(err, queue.ErrUnavailable) {
						t.Errorf("the first transaction: %v", err)
					}
					if err := usable(t, s); err != nil {
						t.Errorf("the second transaction: %v", err)
					}
				}
				if err := s.StoreStats().Err; err != nil {
					t.Errorf("StoreStats: %v", err)
				}
			})
		}
	}
}

// After a failover, the Store uses the new primary. It does not use a standby.
func TestFailover(t *testing.T) {
	primary := pgtest.Start(t)
	url := primary.Database(t)
	run(t, open(t, url, nil).db, "create table public.note (text text)")
	standby := primary.Standby(t)
	s := open(t, primary.With(standby, url), &Options{Node: "both"})
	run(t, s.db, addNote, "before")

	primary.Kill9(t)
	if err := usable(t, s); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("before the promotion: %v", err)
	}
	if err := usable(t, s); err == nil || !strings.Contains(err.Error(), "standby") {
		t.Errorf("before the promotion the error says nothing of the standby: %v", err)
	}
	standby.Promote(t)
	run(t, s.db, addNote, "after")
	if n := notes(t, s.db, "before") + notes(t, s.db, "after"); n != 2 {
		t.Errorf("%d rows after the failover", n)
	}
}

// A server that becomes read-only, as an old primary may in a switchover, ends the
// connections of the Store, which then looks for another server.
func TestReadOnly(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url, nil)
	server.Set(t, "default_transaction_read_only = on")
	err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue("create table public.x (n integer)") })
	if !errors.Is(err, queue.ErrUnavailable) || errors.Is(err, errOutcomeUnknown) {
		t.Errorf("the error is %v", err)
	}
	if err := usable(t, s); !errors.Is(err, queue.ErrUnavailable) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("the next error is %v", err)
	}
	server.Set(t, "default_transaction_read_only = off")
	if err := usable(t, s); err != nil {
		t.Error(err)
	}
}

// Open waits for a server that is away or a standby, and says so once.
func TestOpenWaits(t *testing.T) {
	primary := pgtest.Start(t)
	url := primary.Database(t)
	standby := primary.Standby(t)
	both := primary.With(standby, url)
	primary.Kill9(t)

	// The context ends as soon as Open has logged that it waits.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Open(ctx, both, &Options{Logger: slog.New(slog.NewTextHandler(canceler(cancel), nil))})
	if !errors.Is(err, queue.ErrUnavailable) || !errors.Is(err, context.Canceled) ||
		!strings.Contains(err.Error(), "standby") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("the error at the end of ctx: %v", err)
	}

	var logs logged
	opened := make(chan error, 1)
	go func() {
		s, err := Open(t.Context(), both, &Options{Logger: slog.New(slog.NewTextHandler(&logs, nil))})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	peers.Await(t, "the Store says that it waits", func() bool { return logs.has("waiting for the database") })
	standby.Promote(t)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// A network that loses all packets ends no connection. The limits of the transaction do.
func TestStalledNetwork(t *testing.T) {
	server := pgtest.Shared(t)
	proxy := server.Proxy(t)
	s := open(t, proxy.URL(pgtest.Database(t)), nil)
	if err := usable(t, s); err != nil {
		t.Fatal(err)
	}
	proxy.Stall()
	// A caller with patience has seen that the database does not answer.
	ctx, cancel := context.WithTimeout(t.Context(), leastWait+100*time.Millisecond)
	defer cancel()
	err := s.db.tx(ctx, func(b *pgx.Batch) { b.Queue("select 1") })
	if !errors.Is(err, queue.ErrUnavailable) || s.StoreStats().Err == nil {
		t.Errorf("the error is %v, StoreStats has %v", err, s.StoreStats().Err)
	}
	proxy.Continue()
	if err := usable(t, s); err != nil {
		t.Errorf("after the end of the stall: %v", err)
	}
}

// If an operator cancels the wait for the synchronous standby, the commit is on the
// primary only, so its outcome is unknown.
func TestSynchronousReplicationCanceled(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	d, _ := wired(t, url, Options{})
	server.Set(t, "synchronous_standby_names = 'missing'")
	result := make(chan error, 1)
	alone := ""
	go func() {
		var err error
		for err == nil { // until the setting has reached all processes of the server
			alone += "x"
			err = d.tx(t.Context(), func(b *pgx.Batch) { b.Queue(addNote, alone) })
		}
		result <- err
	}()
	c, err := pgx.Connect(t.Context(), server.Admin(url))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	peers.Await(t, "the commit waits for the standby", func() bool {
		var canceled bool
		err := c.QueryRow(t.Context(), `select coalesce(bool_or(pg_cancel_backend(pid)), false) from pg_stat_activity
			where wait_event = 'SyncRep'`).Scan(&canceled)
		return err == nil && canceled
	})
	if err := <-result; !errors.Is(err, errOutcomeUnknown) {
		t.Errorf("the error is %v", err)
	}
	server.Set(t, "synchronous_standby_names = ''")
	run(t, d, addNote, "next") // the warning belongs to one transaction
	if notes(t, d, alone) != 1 {
		t.Error("the row is not on the primary")
	}
}

func TestPgBouncer(t *testing.T) {
	server := pgtest.Shared(t)
	url := pgtest.Database(t)
	pooled := server.PgBouncer(t, url)
	s := open(t, pooled, &Options{Pooler: true})
	for range 20 {
		if err := usable(t, s); err != nil {
			t.Fatal(err)
		}
	}
	if got := one[string](t, s, "select current_setting('statement_timeout')"); got != "30s" {
		t.Errorf("statement_timeout is %s", got)
	}
	server.Terminate(t)
	if err := usable(t, s); err != nil && !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("the first transaction after the end of the server's sessions: %v", err)
	}
	peers.Await(t, "PgBouncer has replaced the sessions", func() bool { return usable(t, s) == nil })
	// What a pooler cannot pass is refused at once: see Options.Pooler.
	if err := openError(t, pooled, nil); !strings.Contains(err.Error(), "Pooler") {
		t.Errorf("without Pooler: %v", err)
	}
}
