package pgtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// connect opens a connection that is closed at the end of the test.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func exec(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Each fault ends the connections, and loses nothing that was committed.
func TestFaultsKeepWhatWasCommitted(t *testing.T) {
	s := pgtest.Start(t)
	url := s.Database(t)
	exec(t, connect(t, url), "create table kept (n integer)")
	for n, fault := range []func(){
		func() { s.Restart(t) },
		func() { s.Kill9(t); s.Up(t) },
		func() {
			if s.Terminate(t) < 1 {
				t.Error("no connection was terminated")
			}
		},
	} {
		c := connect(t, url)
		exec(t, c, "insert into kept values (1)")
		fault()
		if err := c.Ping(t.Context()); err == nil {
			t.Errorf("fault %d: the connection is still open", n)
		}
		if got := one[int](t, url, "select count(*) from kept"); got != n+1 {
			t.Errorf("fault %d: %d rows", n, got)
		}
	}
}

// A suspended server does not answer and does not close the connection.
func TestSuspend(t *testing.T) {
	s := pgtest.Start(t)
	c := connect(t, s.Database(t)).PgConn()
	exec := func(ctx context.Context) error {
		_, err := c.Exec(ctx, "select 1").ReadAll()
		return err
	}
	if err := exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Suspend(t)
	answer := make(chan error, 1)
	go func() { answer <- exec(t.Context()) }()
	select {
	case err := <-answer:
		t.Errorf("a suspended server has answered: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	s.Continue(t)
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

// A test that forgets to continue a suspended server ends.
func TestSuspendedServerIsStopped(t *testing.T) {
	s := pgtest.Start(t)
	s.Suspend(t)
}

func TestSet(t *testing.T) {
	s := pgtest.Start(t, "work_mem = '5MB'")
	url := s.Database(t)
	if v := one[string](t, url, "select current_setting('work_mem')"); v != "5MB" {
		t.Error(v)
	}
	s.Set(t, "work_mem = '6MB'")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for one[string](t, url, "select current_setting('work_mem')") != "6MB" { // the processes read it a moment later
		if err := ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("the setting has not changed")
		}
	}
}
