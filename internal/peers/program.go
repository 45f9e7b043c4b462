//go:build unix

package peers

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Program starts another project's program and waits until it listens at addr
// ("/path" or "host:port"). The program runs until stop is called or the test ends. If
// the test fails, the output of the program is logged.
func Program(t testing.TB, addr, program string, args ...string) (stop func()) {
	t.Helper()
	var out programOutput
	cmd := exec.Command(Need(t, program), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end its child processes too
	check(t, cmd.Start())
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	stop = sync.OnceFunc(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(300 * time.Millisecond):
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("output of %s:\n%s", program, out.String())
		}
	})
	network := "tcp"
	if filepath.IsAbs(addr) {
		network = "unix"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial(network, addr); err == nil {
			c.Close()
			return stop
		}
		select {
		case <-exited:
			t.Fatalf("%s has ended:\n%s", program, out.String())
		case <-ctx.Done():
			t.Fatalf("%s does not listen at %s:\n%s", program, addr, out.String())
		case <-tick.C:
		}
	}
}

// Virus is a text that the clamd of Clamd detects as a virus.
const Virus = "BRIDGEHEAD-TEST-OF-A-VIRUS"

// Clamd starts clamd with signatures for Virus and the EICAR test file only, as Program does. socket is the
// path of its socket.
func Clamd(t testing.TB) (socket string, stop func()) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	db := filepath.Join(dir, "db")
	check(t, os.Mkdir(db, 0o700))
	// Name, target type (any), offset (any), signature in hexadecimal.
	write("db/bridgehead.ndb", "Bridgehead.Test:0:*:425249444745484541442d544553542d4f462d412d5649525553\n"+
		"EICAR:0:*:58354f2150254041505b345c505a58353428505e2937434329377d2445494341522d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a\n")
	socket = filepath.Join(dir, "clamd")
	conf := write("clamd.conf", "LocalSocket "+socket+"\nDatabaseDirectory "+db+"\nForeground true\nStreamMaxLength 1M\n")
	return socket, Program(t, socket, "clamd", "-c", conf)
}

// programOutput collects what a program writes, up to 64 KiB.
type programOutput struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *programOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.b.Len() < 64<<10 {
		o.b.Write(p)
	}
	return len(p), nil
}

func (o *programOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
