//go:build unix

package pgtest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// pgbouncerConfiguration: few connections to the server, so that transactions of one
// client soon use several of them.
const pgbouncerConfiguration = `
[databases]
* = host=%[1]s port=%[2]d user=%[3]s
[pgbouncer]
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
auth_type = any
listen_addr = 127.0.0.1
listen_port = %[4]s
unix_socket_dir = %[5]s
pidfile = %[5]s/pgbouncer.pid
logfile = %[5]s/log
`

// PgBouncer starts a PgBouncer in transaction mode before s, and returns the URL of
// the database through it (by a unix socket).
func (s *Server) PgBouncer(t testing.TB, socketURL string) (url string) {
	t.Helper()
	program := peers.Need(t, "pgbouncer")
	_, port, err := net.SplitHostPort(peers.FreeAddr(t))
	check(t, err)
	shared.Lock()
	shared.servers++
	pooler := &Server{keeper: s.keeper, dir: s.keeper.folder(t, strconv.Itoa(shared.servers))}
	shared.Unlock()
	pooler.port, err = strconv.Atoi(port)
	check(t, err)
	pooler.write(t, "pgbouncer.ini", fmt.Sprintf(pgbouncerConfiguration, s.dir, s.port, User, port, pooler.dir))
	pooler.cmd = s.keeper.command(program, "-q", pooler.dir+"/pgbouncer.ini")
	check(t, pooler.cmd.Start())
	t.Cleanup(func() {
		pooler.stop(syscall.SIGQUIT)
		if t.Failed() {
			t.Logf("PgBouncer:\n%s", pooler.Log())
		}
	})
	peers.AwaitListening(t, "PgBouncer", pooler.Addr())
	return strings.TrimSuffix(pooler.socket(User, database(socketURL)), "/")
}
