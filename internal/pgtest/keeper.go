//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"testing"
)

// A keeper is the folder of the servers of this test program, and a shell that waits
// for the end of the program. It then stops the servers and removes the folder. The
// shell knows the end by a pipe, which the system closes even if the program is
// killed. No goroutine is needed.
type keeper struct {
	dir  string // short, because it has unix sockets
	pipe *os.File
	run  *syscall.SysProcAttr // the user of the servers
}

// The servers may have been killed or suspended, so the shell continues them first.
const keeperScript = `
read end
for pid in "$1"/*/data/postmaster.pid; do
	[ -e "$pid" ] || continue
	kill -CONT $(head -n 1 "$pid")
	"$2"/pg_ctl stop -s -m immediate -D "${pid%/*}"
done
for pid in "$1"/*/pgbouncer.pid; do
	[ -e "$pid" ] && kill -KILL $(cat "$pid")
done
rm -rf "$1"
`

func newKeeper(t testing.TB, bin string) *keeper {
	t.Helper()
	run, owner := account(t)
	// Not t.TempDir, which is removed at the end of a test. Not os.TempDir, which
	// may be in memory.
	dir, err := os.MkdirTemp("/var/tmp", "pgtest")
	check(t, err)
	check(t, os.Chmod(dir, 0o755))
	if owner >= 0 {
		check(t, os.Chown(dir, owner, -1))
	}
	r, w, err := os.Pipe()
	check(t, err)
	defer r.Close()
	sh := exec.Command("/bin/sh", "-c", keeperScript, "keeper", dir, bin)
	sh.Stdin = r
	sh.Dir = "/"
	sh.SysProcAttr = run
	check(t, sh.Start())
	return &keeper{dir: dir, pipe: w, run: run}
}

// account returns how to start a process as a user who may run PostgreSQL, in a
// session of its own, so that an interrupt of the test does not reach it. owner is -1
// if the user is that of the test.
func account(t testing.TB) (run *syscall.SysProcAttr, owner int) {
	t.Helper()
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{Setsid: true}, -1
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	check(t, err)
	uid, err := strconv.Atoi(u.Uid)
	check(t, err)
	gid, err := strconv.Atoi(u.Gid)
	check(t, err)
	return &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
	}, uid
}

// command prepares a program of the servers' user.
func (k *keeper) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = k.dir
	cmd.SysProcAttr = k.run
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	return cmd
}

// must runs a program to its end.
func (k *keeper) must(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := k.command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// folder makes a folder for one server or pooler.
func (k *keeper) folder(t testing.TB, name string) string {
	t.Helper()
	dir := fmt.Sprintf("%s/%s", k.dir, name)
	check(t, os.Mkdir(dir, 0o755))
	if c := k.run.Credential; c != nil {
		check(t, os.Chown(dir, int(c.Uid), int(c.Gid)))
	}
	return dir
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
