package e2e

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// Shutdown ends all goroutines, and closes all files and locks. Before it, some
// mail is delivered, some waits for a host that is down, large mail is in its own
// file, and sessions are open.
func TestShutdownReleasesEverything(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("open files are counted in /proc")
	}
	next := newSink(t)
	goroutines := goleak.IgnoreCurrent()
	files := openFiles(t)

	dir := t.TempDir()
	r, err := assemble(relayConfig{spool: dir, smartHost: next.addr, home: peers.FreeAddr(t)})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.run(ctx) }()
	crowd := startCrowd(t, r.addr)
	send(t, r.addr, "alice@example.com", "bob@example.net", "carol@example.com")
	await(t, 20*time.Second, "mail at the next hop", func() bool { return len(next.received()) > 100 })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	acked := crowd.stop()
	next.hangUp()

	goleak.VerifyNone(t, goroutines)
	if left := openFiles(t); len(left) > len(files) {
		t.Errorf("files left open: %q, before: %q", left, files)
	}
	again, err := spool.Open(dir, nil) // ErrInUse if the spool is still locked
	must(t, err)
	must(t, again.Close())
	t.Logf("%d messages were accepted before the end", len(acked))
}

// openFiles returns the open sockets and files of the spool. It does not return
// files of the Go runtime.
func openFiles(t *testing.T) (files []string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && (strings.HasPrefix(target, "socket:") || strings.HasPrefix(target, os.TempDir())) {
			files = append(files, target)
		}
	}
	return files
}
