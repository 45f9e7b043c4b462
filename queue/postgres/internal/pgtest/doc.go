// Package pgtest has the tests of the package internal/pgtest that need a client of
// PostgreSQL. The core module has none.
package pgtest

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

// Tests use the package internal/pgtest; these names are for the time until they do.
type (
	Server = pgtest.Server
	Proxy  = pgtest.Proxy
	Fault  = pgtest.Fault
)

const (
	User     = pgtest.User
	Password = pgtest.Password
)

func Database(t testing.TB) string                   { t.Helper(); return pgtest.Database(t) }
func Shared(t testing.TB) *Server                    { t.Helper(); return pgtest.Shared(t) }
func Start(t testing.TB, settings ...string) *Server { t.Helper(); return pgtest.Start(t, settings...) }
