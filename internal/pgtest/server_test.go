//go:build unix

package pgtest

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Tests that run in parallel may use the shared server and servers of their own.
func TestServersOfParallelTests(t *testing.T) {
	for name, server := range map[string]func(testing.TB) *Server{
		"own":    func(t testing.TB) *Server { return Start(t) },
		"shared": Shared,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			if got := s.Query(t, s.Database(t), "select 6 * 7"); got != "42" {
				t.Errorf("answer %q", got)
			}
		})
	}
}
