package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A wire is the network between the db and the server.
type wire struct {
	lose  atomic.Int64 // answers are lost after this number of bytes; -1: no answer is lost
	turns atomic.Int64 // how often the client waited for an answer after it wrote
}

type wireConn struct {
	net.Conn
	wire  *wire
	wrote atomic.Bool
}

func (c *wireConn) Write(b []byte) (int, error) {
	c.wrote.Store(true)
	return c.Conn.Write(b)
}

func (c *wireConn) Read(b []byte) (int, error) {
	if c.wrote.Swap(false) {
		c.wire.turns.Add(1)
	}
	n, err := c.Conn.Read(b)
	switch left := c.wire.lose.Load(); {
	case left < 0 || err != nil:
		return n, err
	case int64(n) > left:
		c.Conn.Close()
		c.wire.lose.Store(0)
		return int(left), io.EOF
	default:
		c.wire.lose.Add(-int64(n))
		return n, nil
	}
}

// wired returns a db with one connection to a database that has the table note.
func wired(t *testing.T, url string, o Options) (*db, *wire) {
	t.Helper()
	o.Connections = 3
	opts, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := opts.config(url)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{}
	w.lose.Store(-1)
	cfg.MaxConns = 1
	cfg.ConnConfig.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, c net.Conn) (net.Conn, error) {
		return &wireConn{Conn: c, wire: w}, nil
	}
	d, err := newDB(cfg, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	run(t, d, "create table public.note (text text primary key)")
	return d, w
}

// run runs one statement.
func run(t *testing.T, d *db, sql string, args ...any) {
	t.Helper()
	if err := d.tx(t.Context(), func(b *pgx.Batch) { b.Queue(sql, args...) }); err != nil {
		t.Fatal(err)
	}
}

// notes returns how many rows the table note has with the text.
func notes(t *testing.T, d *db, text string) (n int) {
	t.Helper()
	err := d.tx(t.Context(), func(b *pgx.Batch) {
		b.Queue("select count(*) from public.note where text = $1", text).
			QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const addNote = "insert into public.note values ($1)"

// modes are the two ways to use a server.
var modes = map[string]Options{"server": {}, "pooler": {Pooler: true}}

func TestTxTakesOneRoundTrip(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			d, w := wired(t, pgtest.Database(t), o)
			for i, text := range []string{"prepare", "measure"} {
				before := w.turns.Load()
				err := d.tx(t.Context(), func(b *pgx.Batch) {
					b.Queue(addNote, text+" 1")
					b.Queue(addNote, text+" 2")
					b.Queue("select 1")
				})
				if err != nil {
					t.Fatal(err)
				}
				if turns := w.turns.Load() - before; i > 0 && turns != 1 {
					t.Errorf("a transaction of three statements took %d round trips", turns)
				}
			}
		})
	}
}

// A transaction that fails leaves nothing behind, whatever failed.
func TestTxIsAllOrNothing(t *testing.T) {
	bad := map[string]struct {
		add     func(b *pgx.Batch)
		unknown bool // it is an error of this program, and the outcome need not be known
	}{
		"a statement fails":        {add: func(b *pgx.Batch) { b.Queue("select 1/$1", 0) }},
		"a constraint":             {add: func(b *pgx.Batch) { b.Queue(addNote, "first") }},
		"a table is missing":       {add: func(b *pgx.Batch) { b.Queue("select * from missing") }},
		"a text with a zero octet": {add: func(b *pgx.Batch) { b.Queue(addNote, "a\x00b") }},
		"a parameter has no form":  {add: func(b *pgx.Batch) { b.Queue(addNote, make(chan int)) }, unknown: true},
		"a parameter is too much":  {add: func(b *pgx.Batch) { b.Queue(addNote, "a", "b") }, unknown: true},
	}
	for name, o := range modes {
		d, _ := wired(t, pgtest.Database(t), o)
		for what, test := range bad {
			t.Run(name+"/"+what, func(t *testing.T) {
				err := d.tx(t.Context(), func(b *pgx.Batch) {
					b.Queue(addNote, "first")
					test.add(b)
					b.Queue(addNote, "last")
				})
				if err == nil {
					t.Fatal("no error")
				}
				if !test.unknown && errors.Is(err, errOutcomeUnknown) {
					t.Errorf("the outcome is known: %v", err)
				}
				if strings.Contains(err.Error(), "note") && strings.Contains(err.Error(), "insert") {
					t.Errorf("the error has the SQL: %v", err)
				}
				if n := notes(t, d, "first") + notes(t, d, "last"); n != 0 {
					t.Errorf("%d rows of the transaction exist", n)
				}
			})
		}
	}
}

// If the answer is lost, whole or in part, the outcome is unknown. If the server answered
// with an error, the answer to the end of the transaction is not needed.
func TestTxAnswerLost(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			d, w := wired(t, pgtest.Database(t), o)
			text, lost := "", 0
			for n := int64(0); ; n += 9 {
				text += "x"
				notes(t, d, text) // connects, and prepares the statements
				run(t, d, addNote, "other "+text)
				w.lose.Store(n)
				err := d.tx(t.Context(), func(b *pgx.Batch) {
					b.Queue(addNote, text)
					b.Queue("select count(*) from public.note where text = $1", text)
				})
				w.lose.Store(-1)
				if err == nil {
					break
				}
				lost++
				if !errors.Is(err, errOutcomeUnknown) || !errors.Is(err, queue.ErrUnavailable) {
					t.Fatalf("after %d bytes of the answer: %v", n, err)
				}
				if notes(t, d, text) != 1 {
					t.Fatalf("after %d bytes of the answer: not committed; the test wants it to be", n)
				}
			}
			if lost < 5 {
				t.Errorf("the answer was lost in %d places only", lost)
			}
		})
	}
}

// A connection that ends between two transactions costs at most one of them.
func TestTxConnectionEnds(t *testing.T) {
	d, _ := wired(t, pgtest.Database(t), Options{})
	for i := range 5 {
		err := d.tx(t.Context(), func(b *pgx.Batch) { b.Queue("select pg_terminate_backend(pg_backend_pid())") })
		if !errors.Is(err, queue.ErrUnavailable) {
			t.Fatalf("round %d: %v", i, err)
		}
		if d.down.Load() == nil {
			t.Error("the database counts as usable")
		}
		if notes(t, d, "x") != 0 {
			t.Error("a row appeared")
		}
		if d.down.Load() != nil {
			t.Error("the database counts as unusable")
		}
	}
}

// PostgreSQL asks to repeat a transaction that conflicts with another one.
func TestTxRepeatsAfterConflict(t *testing.T) {
	for _, code := range []string{"40001", "40P01"} {
		t.Run(code, func(t *testing.T) {
			d, _ := wired(t, pgtest.Database(t), Options{})
			run(t, d, "create sequence public.try")
			run(t, d, `create function public.conflict() returns void language plpgsql as $$
				begin
					if nextval('public.try') < 3 then raise exception sqlstate '`+code+`'; end if;
				end $$`)
			calls := 0
			err := d.tx(t.Context(), func(b *pgx.Batch) {
				calls++
				b.Queue(addNote, "once")
				b.Queue("select public.conflict()")
			})
			if err != nil || calls != 3 || notes(t, d, "once") != 1 {
				t.Errorf("%d tries, %d rows, %v", calls, notes(t, d, "once"), err)
			}
		})
	}
}

// The limits apply to each transaction, and in pooler mode to nothing else.
func TestTxTimeouts(t *testing.T) {
	const current = "select current_setting('statement_timeout') || ' ' || current_setting('lock_timeout')"
	for name, o := range modes {
		d, _ := wired(t, pgtest.Database(t), o)
		var got string
		err := d.tx(t.Context(), func(b *pgx.Batch) {
			b.Queue(current).QueryRow(func(row pgx.Row) error { return row.Scan(&got) })
		})
		if err != nil || got != "30s 10s" {
			t.Errorf("%s: a transaction has %s, %v", name, got, err)
		}
		if err := d.pool.QueryRow(t.Context(), current).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if o.Pooler && got != "0 0" {
			t.Errorf("the session of the pooler keeps %s", got)
		}
	}
}

// A caller that gives up early says nothing about the database.
func TestTxContextEnds(t *testing.T) {
	d, _ := wired(t, pgtest.Database(t), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := d.tx(ctx, func(b *pgx.Batch) { b.Queue("select pg_sleep(10)") })
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errOutcomeUnknown) {
		t.Errorf("the error is %v", err)
	}
	if err := d.down.Load(); err != nil {
		t.Errorf("the database counts as unusable: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	err = d.tx(ctx, func(b *pgx.Batch) { b.Queue(addNote, "x") })
	if !errors.Is(err, context.Canceled) || errors.Is(err, errOutcomeUnknown) {
		t.Errorf("the error of an ended context is %v", err)
	}
}

// A stream is one transaction too.
func TestStream(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			d, w := wired(t, pgtest.Database(t), o)
			reason := errors.New("the file is gone")
			err := d.stream(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, addNote, "half"); err != nil {
					return err
				}
				return reason
			})
			if !errors.Is(err, reason) || errors.Is(err, errOutcomeUnknown) || notes(t, d, "half") != 0 {
				t.Errorf("an error in the middle: %v, %d rows", err, notes(t, d, "half"))
			}
			add := func(text string, atEnd func()) error {
				return d.stream(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
					_, err := tx.Exec(ctx, addNote, text)
					atEnd()
					return err
				})
			}
			if err := add("whole", func() {}); err != nil || notes(t, d, "whole") != 1 {
				t.Errorf("a stream: %v, %d rows", err, notes(t, d, "whole"))
			}
			err = add("lost", func() { w.lose.Store(0) })
			w.lose.Store(-1)
			if !errors.Is(err, errOutcomeUnknown) || notes(t, d, "lost") != 1 {
				t.Errorf("the answer to commit is lost: %v, %d rows", err, notes(t, d, "lost"))
			}
		})
	}
}
