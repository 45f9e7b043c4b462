package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// failed asks a handler for the health. It returns the checks that failed, as
// "name: detail", and compares the status of the response with them.
func failed(t *testing.T, handler http.HandlerFunc) (faults []string) {
	t.Helper()
	w := httptest.NewRecorder()
	handler(w, httptest.NewRequest("GET", "/readyz", nil))
	var h gateway.Health
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil {
		t.Fatalf("%v: %q", err, w.Body)
	}
	for _, c := range h.Checks {
		if !c.OK {
			faults = append(faults, c.Name+": "+c.Detail)
		}
	}
	if len(h.Checks) == 0 || h.OK != (len(faults) == 0) || h.OK != (w.Code == http.StatusOK) || !h.OK != (w.Code == http.StatusServiceUnavailable) {
		t.Errorf("status %d with %+v", w.Code, h)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	return faults
}

// wantFaults compares the checks of /readyz that fail.
func wantFaults(t *testing.T, when string, g *gateway.Gateway, want ...string) {
	t.Helper()
	if got := strings.Join(failed(t, g.Readyz), "; "); got != strings.Join(want, "; ") {
		t.Errorf("%s: %q, want %q", when, got, want)
	}
}

// A node of a cluster that drains is not ready, although it accepts mail.
func TestHealthOfNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		cluster := clustertest.New(queue.Node{Name: "a", This: true})
		r.Queue.Store = struct {
			*memory.Store
			*clustertest.Cluster
		}{new(memory.Store), cluster}
		stop := r.run(t)
		synctest.Wait()
		wantFaults(t, "running", &r.Gateway)
		for _, off := range []bool{false, true} {
			if err := cluster.Drain(t.Context(), queue.Draining{Node: "a", Off: off}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if off {
				wantFaults(t, "delivering again", &r.Gateway)
				continue
			}
			wantFaults(t, "draining", &r.Gateway, "queue: this node drains, the other nodes deliver its mail")
			if err := r.Queue.Submit(t.Context(), hello()); err != nil {
				t.Errorf("Submit while the node drains: %v", err)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// /readyz follows the life of a relay. /healthz fails only when Run has returned.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		r.slow = time.Second
		wantFaults(t, "before Run", &r.Gateway, "relay: Run was not called yet")
		stop := r.run(t)
		synctest.Wait()
		wantFaults(t, "running", &r.Gateway)

		r.Queue.Freeze(context.Background())
		wantFaults(t, "frozen", &r.Gateway, "queue: receiving is paused by an operator")
		r.Queue.Thaw(context.Background())
		wantFaults(t, "thawed", &r.Gateway)

		r.Queue.Pause(context.Background())
		if h := r.Health(t.Context()); !h.OK || h.Checks[1].Detail != "deliveries are paused by an operator" {
			t.Errorf("paused: %+v", h)
		}
		if err := r.Queue.Submit(t.Context(), hello()); err != nil {
			t.Fatal(err)
		}
		drain, end := context.WithCancel(t.Context())
		drained := make(chan error)
		go func() { drained <- r.Queue.Drain(drain) }()
		synctest.Wait()
		wantFaults(t, "draining", &r.Gateway, "queue: the queue is draining")
		end()
		<-drained
		r.Queue.Thaw(context.Background())
		r.Queue.Continue(context.Background())
		synctest.Wait()
		wantFaults(t, "a delivery in progress", &r.Gateway)

		go stop()
		synctest.Wait() // the delivery takes a second
		wantFaults(t, "shutdown", &r.Gateway, "relay: the relay is shutting down", "queue: the queue is shut down", "listener: 198.51.100.1:25 is not open")
		if got := failed(t, r.Healthz); got != nil {
			t.Errorf("not alive during the shutdown: %v", got)
		}
		time.Sleep(time.Minute)
		wantFaults(t, "after Run", &r.Gateway, "relay: the relay has ended", "listener: 198.51.100.1:25 is not open")
		if got := failed(t, r.Healthz); len(got) != 1 {
			t.Errorf("alive after the end: %v", got)
		}
	})
}

func hello() *queue.Message {
	return &queue.Message{From: "a@example.com", Recipients: queue.Rcpt("b@example.com"), Content: queue.String("Subject: x\r\n\r\n")}
}

// A socket that fails makes the relay end. Until then /readyz says which listener is
// not open.
func TestHealthOfAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		r.slow = time.Second
		r.run(t)
		synctest.Wait()
		if err := r.Queue.Submit(t.Context(), hello()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.socket.Close()
		synctest.Wait()
		got := failed(t, r.Readyz)
		if want := "listener: 198.51.100.1:25 is not open"; got[len(got)-1] != want {
			t.Errorf("%q, want %q at the end", got, want)
		}
		<-r.ended
	})
}

// A Gateway whose settings cannot work is not ready, and Health does not panic.
func TestHealthOfWrongSettings(t *testing.T) {
	r := newRelay(t)
	r.Queue, r.Listeners = nil, append(r.Listeners, nil)
	if err := r.Run(t.Context()); err == nil {
		t.Fatal("Run without a Queue")
	}
	wantFaults(t, "wrong settings", &r.Gateway, "relay: the relay has ended", "listener: 198.51.100.1:25 is not open", "listener: it is nil")
}

// Other methods than GET and HEAD are refused.
func TestHealthMethods(t *testing.T) {
	r := newRelay(t)
	for method, want := range map[string]int{"GET": 503, "HEAD": 503, "POST": 405} {
		w := httptest.NewRecorder()
		r.Readyz(w, httptest.NewRequest(method, "/readyz", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
}

// A slowStore is not a StoreReporter. While slow is set, Sync does not end before
// its context does, or before free is closed.
type slowStore struct {
	queue.Store
	slow atomic.Bool
	err  error
	free chan struct{}
}

func (s *slowStore) Sync(ctx context.Context) error {
	if s.slow.Load() {
		<-s.free // a disk that does not answer ignores the context too
	}
	return errors.Join(s.err, s.Store.Sync(ctx))
}

// For a Store that is not a StoreReporter, Sync tells whether it can be written. A disk
// that does not answer delays /readyz by five seconds at most.
func TestHealthOfAnotherStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		store := &slowStore{Store: &memory.Store{}, free: make(chan struct{})}
		r.Queue.Store = store
		stop := r.run(t)
		synctest.Wait()
		wantFaults(t, "Sync succeeds", &r.Gateway)
		store.slow.Store(true)
		for range 3 { // one goroutine hangs, not three
			began := time.Now()
			wantFaults(t, "Sync hangs", &r.Gateway, "store: the store does not answer")
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("after %v", took)
			}
		}
		close(store.free)
		store.slow.Store(false)
		synctest.Wait()
		wantFaults(t, "Sync succeeds again", &r.Gateway)
		for _, tt := range []struct {
			err  error
			want string
		}{
			{queue.ErrFull, "store: the store is full"}, {queue.ErrReadOnly, "store: the store is read-only"},
			{fmt.Errorf("%w: node 2", queue.ErrUnavailable), "store: the store cannot be reached"},
			{queue.ErrClosed, "store: the store is closed"}, {errors.New("/var/spool: broken"), "store: the store cannot be written"},
		} {
			store.err = tt.err
			wantFaults(t, "Sync fails", &r.Gateway, tt.want)
		}
		store.err = nil
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A warningStore warns, and fails if err is set.
type warningStore struct {
	*memory.Store
	err error
}

func (s *warningStore) StoreStats() queue.StoreStats {
	return queue.StoreStats{Err: s.err, Warnings: []string{"it has many dead rows", "a transaction is old"}}
}

// The warnings of a store are in the health of the relay, which stays ready.
func TestHealthHasTheWarningsOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		store := &warningStore{Store: &memory.Store{}}
		r.Queue.Store = store
		r.run(t)
		synctest.Wait()
		if h := r.Health(t.Context()); !h.OK || h.Checks[2].Detail != "it has many dead rows; a transaction is old" {
			t.Errorf("%+v", h)
		}
		wantFaults(t, "with warnings", &r.Gateway)
		store.err = queue.ErrFull
		wantFaults(t, "it fails", &r.Gateway, "store: the store is full")
	})
}

// On a disk that is really full, and on one that is mounted read-only, /readyz fails
// because of the store. It succeeds again when the disk is writable again.
func TestHealthOfARealDisk(t *testing.T) {
	dir, ok := peers.SmallDisk(t, 1<<10)
	if !ok {
		return
	}
	store, err := spool.Open(dir+"/spool", &spool.Options{SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(t)
	r.Queue.Store, r.Closers = store, []io.Closer{store}
	r.Listeners = nil
	run(t, &r.Gateway)
	r.Queue.Pause(context.Background())
	await := func(when, want string) {
		t.Helper()
		peers.Await(t, when, func() bool { return strings.Join(failed(t, r.Readyz), "; ") == want })
	}
	await("an empty disk", "")

	text := queue.Bytes([]byte("Subject: x\r\n\r\n"), bytes.Repeat([]byte("0123456789\r\n"), 1000))
	for err = error(nil); err == nil; {
		m := hello()
		m.Content = text
		err = r.Queue.Submit(t.Context(), m)
	}
	if !errors.Is(err, queue.ErrFull) {
		t.Fatal(err)
	}
	await("a full disk", "store: the store is full")
	if err := exec.Command("mount", "-o", "remount,size=64m", dir).Run(); err != nil {
		t.Fatal(err)
	}
	await("a disk with room again", "")

	if err := exec.Command("mount", "--bind", dir, dir).Run(); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("mount", "-o", "remount,ro,bind", dir).Run(); err != nil {
		t.Fatal(err)
	}
	await("a read-only disk", "store: the store is read-only")
	if err := exec.Command("umount", dir).Run(); err != nil {
		t.Fatal(err)
	}
	await("a writable disk", "")
}
