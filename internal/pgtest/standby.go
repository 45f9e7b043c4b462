//go:build unix

package pgtest

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// standbyName is the name under which a standby connects to its primary.
const standbyName = "standby"

// Standby starts a synchronous standby of s: a commit waits until it is on both.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby := s.follow(t)
	s.Set(t, "synchronous_standby_names = '"+standbyName+"'")
	s.awaitReplica(t, "sync_state = 'sync'")
	return standby
}

// AsyncStandby starts an asynchronous standby of s: a commit does not wait for it.
func (s *Server) AsyncStandby(t testing.TB) *Server {
	t.Helper()
	standby := s.follow(t)
	s.awaitReplica(t, "true")
	return standby
}

func (s *Server) follow(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	standby := newServer(t, s.bin)
	shared.Unlock()
	standby.keeper.must(t, s.bin+"/pg_basebackup", "-D", standby.dir+"/data", "-R", "-X", "stream", "-c", "fast", "--no-sync",
		"-d", fmt.Sprintf("host=%s port=%d user=postgres application_name=%s", s.dir, s.port, standbyName))
	standby.startForTest(t)
	return standby
}

func (s *Server) awaitReplica(t testing.TB, condition string) {
	t.Helper()
	peers.Await(t, "a standby in pg_stat_replication", func() bool {
		return s.admin(t, "select exists (select from pg_stat_replication where state = 'streaming' and "+condition+")") == "t"
	})
}

// Promote makes a standby the primary. The old primary must have been stopped.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.admin(t, "select pg_promote()")
	s.prepare(t)
}

// With returns the URL of a database that is on s and on the other server. A client
// uses the one of them that is the primary.
func (s *Server) With(other *Server, socketURL string) string {
	return fmt.Sprintf("postgres://%s@/%s?host=%s&port=%d,%d&target_session_attrs=read-write",
		User, database(socketURL), url.QueryEscape(s.dir+","+other.dir), s.port, other.port)
}
