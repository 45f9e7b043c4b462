//go:build unix

package pgtest

import (
	"path/filepath"
	"testing"
)

// Dump makes a backup of a database (pg_dump) and returns the file.
func (s *Server) Dump(t testing.TB, url string) (file string) {
	t.Helper()
	file = filepath.Join(s.dir, database(url)+".sql")
	s.keeper.must(t, s.bin+"/pg_dump", "-d", s.Admin(url), "-f", file)
	return file
}

// Restore returns the URL of a new database with the content of a backup.
func (s *Server) Restore(t testing.TB, file string) (url string) {
	t.Helper()
	url = s.Database(t)
	s.keeper.must(t, s.bin+"/psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", s.Admin(url), "-f", file)
	return url
}
