//go:build unix

package queue_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// A message that kills the process becomes poison, and no other message does,
// although 40 others are in delivery at the same time. Each process is a real
// one, and dies of a real SIGKILL.
func TestKillerBecomesPoison(t *testing.T) {
	if dir := os.Getenv("BRIDGEHEAD_TEST_KILLED"); dir != "" {
		killed(t, dir)
		return
	}
	const innocent = 40
	dir := t.TempDir()
	store, err := spool.Open(filepath.Join(dir, "spool"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range innocent {
		put(t, store, fmt.Sprintf("m%d", i), fmt.Sprintf("bob@h%d.example", i))
	}
	put(t, store, "killer", "bob@killer.example")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	deaths := 0
	for ; ; deaths++ {
		if deaths > 10 {
			t.Fatal("the process dies again and again")
		}
		child := exec.Command(os.Args[0], "-test.run=^TestKillerBecomesPoison$")
		child.Env = append(os.Environ(), "BRIDGEHEAD_TEST_KILLED="+dir)
		out, err := child.CombinedOutput()
		if err == nil {
			break
		}
		if ws, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if deaths != 3 { // twice among others, and once alone
		t.Errorf("the process died %d times, want 3", deaths)
	}
	text, err := os.ReadFile(filepath.Join(dir, "delivered"))
	if err != nil {
		t.Fatal(err)
	}
	delivered := map[string]bool{}
	for _, id := range strings.Fields(string(text)) {
		delivered[id] = true
	}
	if len(delivered) != innocent {
		t.Errorf("%d of %d other messages were delivered", len(delivered), innocent)
	}
	store, err = spool.Open(filepath.Join(dir, "spool"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	q := &queue.Queue{Store: store}
	for info, err := range q.Messages(context.Background(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if info.ID != "killer" || info.Status != queue.MessagePoison {
			t.Errorf("%s is left: %v", info.ID, info.Status)
		}
	}
}

func put(t *testing.T, store queue.Store, id, to string) {
	t.Helper()
	m := message("alice@example.com", to)
	m.ID, m.Received = id, time.Now()
	if err := store.Put(context.Background(), m, queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
}

// killed is the process that is killed. It ends when only poison is left.
func killed(t *testing.T, dir string) {
	store, err := spool.Open(filepath.Join(dir, "spool"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	delivered, err := os.OpenFile(filepath.Join(dir, "delivered"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer delivered.Close()
	w := newWorld(t, func(q *queue.Queue) { q.Store = store })
	w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
		if m.ID == "killer" {
			<-time.After(20 * time.Millisecond) // others are in delivery now
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		<-time.After(50 * time.Millisecond)
		fmt.Fprintln(delivered, m.ID)
		return ok
	}
	w.run()
	defer w.shutdown()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		left := 0
		for info, err := range w.q.Messages(context.Background(), queue.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if info.Status != queue.MessagePoison {
				left++
			}
		}
		if left == 0 {
			return
		}
	}
	t.Fatal("mail is left after a minute")
}
