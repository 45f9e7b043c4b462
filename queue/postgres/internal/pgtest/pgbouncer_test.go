package pgtest_test

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// Through PgBouncer in transaction mode, a client has another session for each
// transaction, so a statement that it has prepared may be missing.
func TestPgBouncer(t *testing.T) {
	direct := pgtest.Database(t)
	url := pgtest.Shared(t).PgBouncer(t, direct)
	if a, b := one[string](t, url, "select current_database()"), one[string](t, direct, "select current_database()"); a != b {
		t.Errorf("database %s, want %s", a, b)
	}
	a, b := connect(t, url), connect(t, url)
	exec(t, a, "begin")
	exec(t, b, "begin")
	prepare := func(c *pgx.Conn) error {
		_, err := c.Prepare(t.Context(), "same name", "select 1")
		return err
	}
	if err := prepare(a); err != nil {
		t.Fatal(err)
	}
	exec(t, a, "commit")
	exec(t, a, "begin") // a gets the session that it had, because b has the other
	exec(t, b, "commit")
	exec(t, a, "commit")
	exec(t, b, "begin") // b gets the session of a
	if err := prepare(b); err == nil {
		t.Error("b has not got the session of a: this is not transaction mode")
	}
}
