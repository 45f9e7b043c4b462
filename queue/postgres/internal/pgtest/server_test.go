package pgtest_test

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// one returns the one value that a query returns.
func one[T any](t *testing.T, url, query string, args ...any) (v T) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestDatabase(t *testing.T) {
	a, b := pgtest.Database(t), pgtest.Database(t)
	if one[string](t, a, "select current_database()") == one[string](t, b, "select current_database()") {
		t.Error("two tests have the same database")
	}
	if one[bool](t, a, "select rolsuper from pg_roles where rolname = current_user") {
		t.Error("the user is a superuser")
	}
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if v := one[string](t, a, "select current_setting($1)", setting); v != "on" {
			t.Errorf("%s is %s", setting, v)
		}
	}
	shared := pgtest.Shared(t)
	if v := one[string](t, shared.TCP(a), "select current_user::text"); v != pgtest.User {
		t.Errorf("the user by TCP is %s", v)
	}
	if !one[bool](t, shared.Admin(a), "select rolsuper from pg_roles where rolname = current_user") {
		t.Error("Admin is not a superuser")
	}
}

func BenchmarkDatabase(b *testing.B) {
	for b.Loop() {
		pgtest.Database(b)
	}
}
