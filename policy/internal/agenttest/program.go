//go:build unix

package agenttest

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

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Program starts a program for interoperability tests and waits until it listens
// at addr ("/path" or "host:port"). The program runs until the test ends. If the
// test fails, the output of the program is logged.
func Program(t testing.TB, addr, program string, args ...string) {
	t.Helper()
	var out syncBuffer
	cmd := exec.Command(peers.Need(t, program), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end its child processes too
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(300 * time.Millisecond):
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
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
			return
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

// File writes a file into dir and returns its path.
func File(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Virus is a text that the clamd of Clamd detects as a virus.
const Virus = "BRIDGEHEAD-TEST-OF-A-VIRUS"

// Clamd starts clamd with a signature for Virus only, and returns the path of its
// socket.
func Clamd(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	db := filepath.Join(dir, "db")
	if err := os.Mkdir(db, 0o700); err != nil {
		t.Fatal(err)
	}
	// Name, target type (any), offset (any), signature in hexadecimal.
	File(t, db, "bridgehead.ndb", "Bridgehead.Test:0:*:425249444745484541442d544553542d4f462d412d5649525553\n")
	sock := filepath.Join(dir, "clamd")
	conf := File(t, dir, "clamd.conf", "LocalSocket "+sock+"\nDatabaseDirectory "+db+"\nForeground true\nStreamMaxLength 1M\n")
	Program(t, sock, "clamd", "-c", conf)
	return sock
}

// syncBuffer collects what a program writes, up to 64 KiB.
type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b.Len() < 64<<10 {
		s.b.Write(p)
	}
	return len(p), nil
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
