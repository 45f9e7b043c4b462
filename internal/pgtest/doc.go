// Package pgtest runs real PostgreSQL servers for tests. Only tests import it.
//
//	url := pgtest.Database(t) // an empty database
//
// All tests of a test program share one server, which the first call starts. A test
// that disturbs the server starts one of its own:
//
//	server := pgtest.Start(t)
//	url := server.Database(t)
//	server.Kill9(t)
//
// The data is on a disk, and fsync is on. PostgreSQL refuses to run as root: if the
// test is root, the servers run as the user postgres or nobody.
//
// The servers end with the test program, however it ends: see keeper.go.
package pgtest
