//go:build unix

package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// These tests stop a relay that runs as a process with signals, as docker stop
// does, while its next hop hangs.

// A hangingHop is a next hop that hangs at MAIL from hang@example.com. It replies
// to the end of data only after reply was called.
type hangingHop struct {
	*sink
	well     atomic.Bool // it does not hang any more
	waiting  chan string // gets a stage at which a session hangs
	release  sync.Once
	released chan struct{}
}

func newHangingHop(t *testing.T) *hangingHop {
	h := &hangingHop{waiting: make(chan string, 10), released: make(chan struct{})}
	t.Cleanup(h.reply)
	h.sink = newFaultySink(t, func(stage, arg string) string {
		switch {
		case h.well.Load():
		case stage == "MAIL" && strings.Contains(arg, "hang@"):
			h.waiting <- stage
			return "hang"
		case stage == "dot":
			h.waiting <- stage
			<-h.released
		}
		return ""
	})
	return h
}

// reply lets the hop reply to the end of data.
func (h *hangingHop) reply() { h.release.Do(func() { close(h.released) }) }

// await waits until sessions hang at these stages.
func (h *hangingHop) await(stages ...string) {
	want := map[string]int{}
	for _, s := range stages {
		want[s]++
	}
	for len(want) > 0 {
		s := <-h.waiting
		if want[s]--; want[s] <= 0 {
			delete(want, s)
		}
	}
}

// copies returns how often the message of each sender has arrived.
func (h *hangingHop) copies() string {
	n := map[string]int{}
	for _, m := range h.received() {
		n[m.from]++
	}
	return fmt.Sprint(n)
}

// exits waits for the end of a process.
func exits(cmd *exec.Cmd) (status int, took time.Duration) {
	began := time.Now()
	cmd.Wait()
	return cmd.ProcessState.ExitCode(), time.Since(began)
}

// SIGTERM ends the relay within the ten seconds that docker stop allows. An
// attempt whose end of data is answered in this time is complete, and causes no
// duplicate. One that has not come so far is canceled early.
func TestSIGTERMWithAHangingHop(t *testing.T) {
	dir, listen, next := t.TempDir(), peers.FreeAddr(t), newHangingHop(t)
	relay := startRelayProcess(t, dir, listen, next.addr, "signals")
	send(t, listen, "hang@example.com", "bob@example.net")
	send(t, listen, "slow@example.com", "bob@example.net")
	next.await("MAIL", "dot")
	must(t, relay.Process.Signal(syscall.SIGTERM))
	answered := time.AfterFunc(4*time.Second, next.reply)
	defer answered.Stop()
	status, took := exits(relay)
	if status != 0 || took > 9500*time.Millisecond {
		t.Errorf("status %d after %v", status, took)
	}
	t.Logf("the process ended after %v, the reply came after 4 s", took)

	next.well.Store(true)
	relay = startRelayProcess(t, dir, listen, next.addr, "signals")
	await(t, 10*time.Second, "the message that was canceled", func() bool { return strings.Contains(next.copies(), "hang@") })
	must(t, relay.Process.Signal(syscall.SIGTERM))
	if status, _ := exits(relay); status != 0 {
		t.Errorf("status %d", status)
	}
	if got, want := next.copies(), "map[hang@example.com:1 slow@example.com:1]"; got != want {
		t.Errorf("arrived: %s, want %s", got, want)
	}
}

// A second SIGTERM ends the relay at once. Nothing is lost.
func TestSecondSIGTERM(t *testing.T) {
	dir, listen, next := t.TempDir(), peers.FreeAddr(t), newHangingHop(t)
	relay := startRelayProcess(t, dir, listen, next.addr, "signals")
	send(t, listen, "hang@example.com", "bob@example.net")
	send(t, listen, "slow@example.com", "bob@example.net")
	next.await("MAIL", "dot")
	must(t, relay.Process.Signal(syscall.SIGTERM))
	pause(t, 300*time.Millisecond)
	must(t, relay.Process.Signal(syscall.SIGTERM))
	status, took := exits(relay)
	if status != 0 || took > 3*time.Second {
		t.Errorf("status %d after %v, want 0 after less than one second", status, took)
	}
	t.Logf("the process ended %v after the second SIGTERM", took)

	next.reply()
	next.well.Store(true)
	relay = startRelayProcess(t, dir, listen, next.addr, "signals")
	await(t, 10*time.Second, "both messages", func() bool {
		return strings.Contains(next.copies(), "hang@") && strings.Contains(next.copies(), "slow@")
	})
	must(t, relay.Process.Signal(syscall.SIGTERM))
	exits(relay)
}
