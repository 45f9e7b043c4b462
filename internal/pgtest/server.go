//go:build unix

package pgtest

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// User is the owner of the databases. It is not a superuser. Password is its password
// over TCP; over the unix socket it needs none.
const (
	User     = "relay"
	Password = "a password of tests"
)

// A Server is a running PostgreSQL.
type Server struct {
	keeper  *keeper
	bin     string // the folder of the programs
	version int    // the major version, or 0 if it is not known
	dir     string // data, log, the unix socket
	port    int
	shared  bool      // it outlives the test
	cmd     *exec.Cmd // postgres; nil while it does not run
}

var shared struct {
	sync.Mutex // guards all fields
	keeper     *keeper
	server     *Server
	servers    int // started so far
}

// Database creates an empty database on the server that the tests share, and returns
// its URL (by the unix socket, as the user who owns it). The database is dropped at
// the end of the test.
func Database(t testing.TB) (url string) {
	t.Helper()
	return Shared(t).Database(t)
}

// Shared returns the server that the tests share. Tests must not disturb it.
func Shared(t testing.TB) *Server {
	t.Helper()
	bin := programs(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s := newServer(t, bin)
		s.shared = true
		s.initialize(t)
		s.start(t)
		shared.server = s
	}
	return shared.server
}

// Start starts a server for one test. settings are lines of its configuration.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	bin := programs(t)
	shared.Lock()
	s := newServer(t, bin)
	shared.Unlock()
	s.initialize(t, settings...)
	s.startForTest(t)
	return s
}

func (s *Server) startForTest(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		s.stop(syscall.SIGQUIT)
		if t.Failed() {
			t.Logf("PostgreSQL:\n%s", s.Log())
		}
		os.RemoveAll(s.dir)
	})
	s.start(t)
}

// programs returns the folder of the newest PostgreSQL of Debian.
func programs(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is valid
	if len(found) == 0 {
		return filepath.Dir(peers.Need(t, "postgres"))
	}
	return filepath.Dir(found[len(found)-1])
}

// newServer makes the folder of a server. The caller holds the lock of shared.
func newServer(t testing.TB, bin string) *Server {
	t.Helper()
	if shared.keeper == nil {
		shared.keeper = newKeeper(t, bin)
	}
	shared.servers++
	_, port, err := net.SplitHostPort(peers.FreeAddr(t))
	check(t, err)
	s := &Server{keeper: shared.keeper, bin: bin}
	s.version, _ = strconv.Atoi(filepath.Base(filepath.Dir(bin))) // /usr/lib/postgresql/15/bin
	s.port, err = strconv.Atoi(port)
	check(t, err)
	s.dir = s.keeper.folder(t, strconv.Itoa(shared.servers))
	return s
}

const configuration = `
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = 128MB
timezone = UTC
log_line_prefix = '%m [%p] %q%a '
ssl = on
`

const access = `
local all         all      trust
local replication all      trust
host  all         all      127.0.0.1/32 scram-sha-256
`

// initialize makes the data folder. Its files are not flushed, because a test that
// has just begun has nothing to lose.
func (s *Server) initialize(t testing.TB, settings ...string) {
	t.Helper()
	data := s.dir + "/data"
	s.keeper.must(t, s.bin+"/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	s.write(t, "data/postgresql.auto.conf", configuration+strings.Join(settings, "\n")+"\n")
	s.write(t, "data/pg_hba.conf", access)
	s.certify(t)
}

// write writes a file that the user of the server owns.
func (s *Server) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	check(t, os.WriteFile(path, []byte(text), 0o600))
	if c := s.keeper.run.Credential; c != nil {
		check(t, os.Chown(path, int(c.Uid), int(c.Gid)))
	}
}

// start starts postgres and waits until it answers. Right after a kill, the memory of
// the old server may still be in use: start then tries again.
func (s *Server) start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(s.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	check(t, err)
	defer log.Close()
	peers.Await(t, "PostgreSQL answers", func() bool {
		if s.cmd == nil {
			// The port and the socket are not in the configuration, which a standby copies.
			s.cmd = s.keeper.command(s.bin+"/postgres", "-D", s.dir+"/data", "-p", strconv.Itoa(s.port), "-k", s.dir)
			s.cmd.Stdout, s.cmd.Stderr = log, log
			check(t, s.cmd.Start())
		}
		if s.ended() {
			s.cmd = nil
			return false
		}
		return s.answers()
	})
	s.prepare(t)
}

// ended reports whether postgres has ended by itself.
func (s *Server) ended() bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WNOHANG, nil)
	return err != nil || pid != 0
}

func (s *Server) answers() bool {
	return s.keeper.command(s.bin+"/pg_isready", "-q", "-h", s.dir, "-p", strconv.Itoa(s.port)).Run() == nil
}

// prepare creates the user of the tests, unless it exists or the server is a standby.
func (s *Server) prepare(t testing.TB) {
	t.Helper()
	if s.admin(t, "select pg_is_in_recovery() or exists (select from pg_roles where rolname = '"+User+"')") == "f" {
		s.admin(t, "create role "+User+" login password '"+Password+"'")
	}
}

// admin runs an SQL statement as a superuser and returns what psql prints.
func (s *Server) admin(t testing.TB, sql string) string {
	t.Helper()
	return s.Query(t, s.socket("postgres", "postgres"), sql)
}

// Query runs an SQL statement with psql and returns what it prints: a line for each
// row, with | between the columns.
func (s *Server) Query(t testing.TB, url, sql string) string {
	t.Helper()
	cmd := s.keeper.command(s.bin+"/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql)
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", sql, err, &warnings)
	}
	return strings.TrimSpace(string(out))
}

// Database creates an empty database that the user [User] owns, and returns its URL by
// the unix socket. The database is dropped at the end of the test, together with the
// connections that the test has forgotten.
func (s *Server) Database(t testing.TB) (url string) {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	how := ""
	if s.version >= 15 {
		how = " strategy wal_log" // without a checkpoint
	}
	s.admin(t, "create database "+name+" owner "+User+" template template0"+how)
	if s.shared { // others are removed with all their databases
		t.Cleanup(func() { s.admin(t, "drop database "+name+" with (force)") })
	}
	return s.socket(User, name)
}

func (s *Server) socket(user, database string) string {
	return fmt.Sprintf("postgres://%s@/%s?host=%s&port=%d", user, database, url.QueryEscape(s.dir), s.port)
}

// TCP returns the URL of a database, with the password, by TCP without TLS.
func (s *Server) TCP(socketURL string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", User, url.PathEscape(Password), s.Addr(), database(socketURL))
}

// Admin returns the URL of the same database for a superuser.
func (s *Server) Admin(socketURL string) string { return s.socket("postgres", database(socketURL)) }

// Addr is the TCP address.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func database(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		panic(err) // the URL is one of ours
	}
	return strings.TrimPrefix(u.Path, "/")
}

// Log returns what the server has logged.
func (s *Server) Log() string {
	b, _ := os.ReadFile(s.dir + "/log") // there may be none
	return string(b)
}

// stop sends sig to postgres and waits for its end.
func (s *Server) stop(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(sig)
	s.cmd.Wait() // its status is that of the signal
	s.cmd = nil
}
