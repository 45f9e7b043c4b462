package pgtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

// What was committed on the primary is on the synchronous standby.
func TestPromote(t *testing.T) {
	primary := pgtest.Start(t)
	url := primary.Database(t)
	exec(t, connect(t, url), "create table kept (n integer)")
	standby := primary.Standby(t)
	both := primary.With(standby, url)
	exec(t, connect(t, both), "insert into kept values (1)")

	primary.Kill9(t)
	standby.Promote(t)
	exec(t, connect(t, both), "insert into kept values (2)")
	if n := one[int](t, both, "select count(*) from kept"); n != 2 {
		t.Errorf("%d rows after the failover", n)
	}
}

// A commit waits for a synchronous standby.
func TestSynchronousStandby(t *testing.T) {
	primary := pgtest.Start(t)
	url := primary.Database(t)
	exec(t, connect(t, url), "create table kept (n integer)")
	standby := primary.Standby(t)
	standby.Suspend(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := connect(t, url).Exec(ctx, "insert into kept values (1)"); err == nil {
		t.Error("a commit did not wait for the standby")
	}
	standby.Continue(t)
	exec(t, connect(t, url), "insert into kept values (2)")
}

func TestAsyncStandby(t *testing.T) {
	primary := pgtest.Start(t)
	url := primary.Database(t)
	exec(t, connect(t, url), "create table kept (n integer)")
	primary.AsyncStandby(t).Suspend(t)
	exec(t, connect(t, url), "insert into kept values (1)")
}
