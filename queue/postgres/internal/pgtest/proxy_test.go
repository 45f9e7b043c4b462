package pgtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// ways are the ways to commit one row in a transaction.
var ways = map[string]func(context.Context, *pgx.Conn) error{
	"one statement": func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "insert into kept values ($1)", 1)
		return err
	},
	"simple protocol": func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "begin; insert into kept values ($1); commit", pgx.QueryExecModeSimpleProtocol, 1)
		return err
	},
	"one pipeline": func(ctx context.Context, c *pgx.Conn) error {
		var b pgx.Batch
		b.Queue("select 1")
		b.Queue("insert into kept values ($1)", 1)
		return c.SendBatch(ctx, &b).Close()
	},
	"one pipeline with begin and commit": func(ctx context.Context, c *pgx.Conn) error {
		var b pgx.Batch
		b.Queue("begin")
		b.Queue("insert into kept values ($1)", 1)
		b.Queue("commit")
		return c.SendBatch(ctx, &b).Close()
	},
	"several round trips": func(ctx context.Context, c *pgx.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into kept values ($1)", 1)
			if err == nil {
				_, err = tx.Exec(ctx, "select 2")
			}
			return err
		})
	},
}

// After CutAnswer the row is there, after CutRequest it is not. Either way the client
// gets an error.
func TestCutAtCommit(t *testing.T) {
	url := pgtest.Database(t)
	admin := connect(t, url)
	exec(t, admin, "create table kept (n integer)")
	proxy := pgtest.Shared(t).Proxy(t)
	for how, way := range ways {
		c := connect(t, proxy.URL(url))
		exec(t, admin, "truncate kept")
		if err := way(t.Context(), c); err != nil { // statements are prepared now
			t.Fatalf("%s: %v", how, err)
		}
		for want, arm := range map[int]func(string) *pgtest.Fault{2: proxy.CutAnswer, 1: proxy.CutRequest} {
			exec(t, admin, "truncate kept")
			exec(t, admin, "insert into kept values (0)")
			c := connect(t, proxy.URL(url))
			fault := arm("INSERT INTO kept")
			exec(t, c, "select 1") // another transaction is not cut
			if err := way(t.Context(), c); err == nil {
				t.Errorf("%s: no error", how)
			}
			select {
			case <-fault.Happened():
			case <-time.After(20 * time.Second):
				t.Fatalf("%s: the connection was not cut", how)
			}
			if n := one[int](t, url, "select count(*) from kept"); n != want {
				t.Errorf("%s: %d rows, want %d", how, n, want)
			}
		}
	}
}

// An answer with an error is passed: nothing was committed.
func TestErrorsAreNotCut(t *testing.T) {
	url := pgtest.Database(t)
	proxy := pgtest.Shared(t).Proxy(t)
	c := connect(t, proxy.URL(url))
	exec(t, c, "create table kept (n integer primary key)")
	exec(t, c, "insert into kept values (1)")
	fault := proxy.CutAnswer("insert into kept")
	if _, err := c.Exec(t.Context(), "insert into kept values (1)"); err == nil {
		t.Error("two rows with the same key")
	}
	exec(t, c, "select 1")
	proxy.Disarm(fault)
	exec(t, c, "insert into kept values (2)")
}

func TestProxyDownAndCut(t *testing.T) {
	url := pgtest.Database(t)
	proxy := pgtest.Shared(t).Proxy(t)
	c := connect(t, proxy.URL(url))
	proxy.CutAll()
	if err := c.Ping(t.Context()); err == nil {
		t.Error("the connection is open after CutAll")
	}
	connect(t, proxy.URL(url))
	proxy.Down()
	if c, err := pgx.Connect(t.Context(), proxy.URL(url)); err == nil {
		c.Close(t.Context())
		t.Error("a connection while the proxy is down")
	}
	proxy.Up()
	connect(t, proxy.URL(url))
}

func TestProxyStall(t *testing.T) {
	url := pgtest.Database(t)
	proxy := pgtest.Shared(t).Proxy(t)
	c := connect(t, proxy.URL(url))
	proxy.Stall()
	answer := make(chan error, 1)
	go func() { answer <- c.Ping(t.Context()) }()
	select {
	case err := <-answer:
		t.Errorf("an answer during a stall: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	proxy.Continue()
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

func TestProxyTarget(t *testing.T) {
	a, b := pgtest.Shared(t), pgtest.Start(t)
	proxy := a.Proxy(t)
	url := b.Database(t)
	if _, err := pgx.Connect(t.Context(), proxy.URL(url)); err == nil {
		t.Error("the first server has the database of the second")
	}
	proxy.Target(b)
	if !one[bool](t, proxy.URL(url), "select true") {
		t.Error("the second server does not answer")
	}
}
