// Package pgtest has the tests of the package internal/pgtest that need a client of
// PostgreSQL. The core module has none.
package pgtest
