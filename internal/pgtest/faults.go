//go:build unix

package pgtest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Shutdown ends the server in an orderly way, but without waiting for its clients
// (pg_ctl stop -m fast). Up starts it again.
func (s *Server) Shutdown(t testing.TB) {
	t.Helper()
	s.stop(syscall.SIGINT)
}

// Up starts the server again after Shutdown or Kill9.
func (s *Server) Up(t testing.TB) {
	t.Helper()
	s.start(t)
}

// Restart is Shutdown and Up.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Shutdown(t)
	s.Up(t)
}

// Kill9 kills all processes of the server. Up starts it again. What had been committed
// is there then.
func (s *Server) Kill9(t testing.TB) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	// The first process must not start others, nor react to their end. It is killed
	// last, because its children are not known any more when it has ended.
	check(t, syscall.Kill(s.cmd.Process.Pid, syscall.SIGSTOP))
	s.signalChildren(t, syscall.SIGKILL)
	s.stop(syscall.SIGKILL)
}

// Suspend stops all processes of the server (SIGSTOP): its connections stay open, and
// nothing answers. Continue continues them.
func (s *Server) Suspend(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGSTOP)
	t.Cleanup(func() { s.signalAll(t, syscall.SIGCONT) }) // for stop
}

// Continue ends a Suspend.
func (s *Server) Continue(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGCONT)
}

// signalAll sends sig to the first process of the server, and then to its children.
func (s *Server) signalAll(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	check(t, syscall.Kill(s.cmd.Process.Pid, sig))
	s.signalChildren(t, sig)
}

// signalChildren sends sig to the children of the first process of the server.
func (s *Server) signalChildren(t testing.TB, sig syscall.Signal) {
	t.Helper()
	first := s.cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", first, first))
	check(t, err)
	for _, field := range bytes.Fields(children) {
		pid, err := strconv.Atoi(string(field))
		check(t, err)
		syscall.Kill(pid, sig) // it may have ended
	}
}

// Terminate ends all connections of clients (pg_terminate_backend) and returns their
// number.
func (s *Server) Terminate(t testing.TB) (n int) {
	t.Helper()
	n, err := strconv.Atoi(s.admin(t, `select count(pg_terminate_backend(pid)) from pg_stat_activity
		where backend_type = 'client backend' and pid <> pg_backend_pid()`))
	check(t, err)
	return n
}

// Set changes settings of the running server (alter system), for example "fsync = off".
// It returns when new connections have them, and the others have been told.
func (s *Server) Set(t testing.TB, settings ...string) {
	t.Helper()
	for _, setting := range settings {
		s.admin(t, "alter system set "+setting)
	}
	const loaded = "select pg_conf_load_time()"
	before := s.admin(t, loaded)
	s.admin(t, "select pg_reload_conf()")
	peers.Await(t, "the settings are loaded", func() bool { return s.admin(t, loaded) != before })
}
