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

// After Shutdown no goroutine, no file and no lock is left: with mail
// delivered, mail waiting for a dead host, large mail in a file of its own,
// and sessions still open.
func TestShutdownLeavesNothing(t *testing.T) {
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
	again, err := spool.Open(dir, nil) // ErrInUse if the lock were held
	must(t, err)
	must(t, again.Close())
	t.Logf("%d messages were accepted before the end", len(acked))
}

// openFiles are sockets and the files of the spool; the Go runtime has
// some of its own.
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
