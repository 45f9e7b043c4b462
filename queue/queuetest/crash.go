package queuetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The environment variables of the child process of Crash. crashDir is the
// directory of the store, and crashRound is the number of the round.
const (
	crashDir   = "QUEUETEST_CRASH_DIR"
	crashRound = "QUEUETEST_CRASH_ROUND"
)

// Crash tests that a store keeps what it has acknowledged when its process is
// killed. It runs the calling test again in a child process. The child uses the
// store from several goroutines, and writes each acknowledgment to its standard
// output. After a random number of lines Crash kills the child with SIGKILL,
// opens the store, and compares its messages with the output. It repeats this
// with the same store. rounds is the number of repetitions.
//
// The calling test must call Crash first.
func Crash(t *testing.T, c Config, rounds int) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(t, c, dir)
		return
	}
	dir := t.TempDir()
	b := &book{t: t, state: make(map[string]string), marked: make(map[string]bool), tried: make(map[string]int)}
	for round := range rounds {
		b.live(dir, round)
		b.verify(c, dir)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d rounds, %d messages, %d of them interrupted", rounds, len(b.state), b.interrupted)
}

// crashChild works until it is killed.
func crashChild(t *testing.T, c Config, dir string) {
	st := c.Open(t, dir)
	var mu sync.Mutex
	say := func(what, id string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("crash: %s %s\n", what, id) // unbuffered
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				crashStep(t, st, fmt.Sprintf("r%s-%d-%d", os.Getenv(crashRound), w, i), say)
			}
		}()
	}
	wg.Wait()
}

// crashStep stores one message and performs some of the further operations.
func crashStep(t *testing.T, st queue.Store, id string, say func(what, id string)) {
	m := crashMessage(id)
	say("putting", id)
	if err := st.Put(ctx, m, queue.Schedule{Owner: id, Until: time.Now().Add(time.Hour)}); err != nil {
		t.Errorf("Put stores a new message with a valid ID: Put %s returned %v", id, err)
		return
	}
	say("put", id)
	if u, ok := st.(queue.RecipientUpdater); ok && rand.IntN(2) == 0 {
		crashChanges(t, st, u, m, say)
	}
	if rand.IntN(2) == 0 {
		return
	}
	if journal, ok := st.(queue.DeliveryJournal); ok {
		journal.Begin(id)
		say("begin", id)
		if rand.IntN(4) == 0 {
			return // without End
		}
		say("end", id)
		journal.End(id)
	}
	say("removing", id)
	if err := st.Remove(ctx, id, id); err != nil {
		t.Errorf("Remove succeeds for the owner of the lease: Remove %s returned %v", id, err)
	}
	if rand.IntN(4) == 0 && st.Sync(ctx) == nil {
		say("removed", id)
	}
}

// crashChanges records attempts at the recipients of m, each for itself.
func crashChanges(t *testing.T, st queue.Store, u queue.RecipientUpdater, m *queue.Message, say func(what, id string)) {
	for i, r := range m.Recipients {
		r.Attempts++
		if err := u.UpdateRecipients(ctx, m.ID, m, []int{i}, queue.Schedule{Owner: m.ID, Until: time.Now().Add(time.Hour)}); err != nil {
			t.Errorf("UpdateRecipients succeeds for the owner of the lease: %s: %v", m.ID, err)
		} else if rand.IntN(2) == 0 && st.Sync(ctx) == nil {
			say(fmt.Sprintf("tried%d", i), m.ID)
		}
	}
}

// crashMessage returns a message whose content depends only on its ID. Some are
// large.
func crashMessage(id string) *queue.Message {
	n := 100
	if strings.HasSuffix(id, "7") {
		n = 40000
	}
	m := message(id)
	m.Content = queue.String(strings.Repeat(id+"\r\n", n))
	return m
}

// A book has the last line that a child process wrote about each message.
type book struct {
	t           *testing.T
	state       map[string]string
	marked      map[string]bool // messages with a begin and no end
	tried       map[string]int  // how many recipients have an attempt that is durable
	interrupted int
}

// live runs one child process and kills it after a random number of lines.
func (b *book) live(dir string, round int) {
	stop, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(stop, os.Args[0], "-test.run=^"+b.t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashRound+fmt.Sprintf("=%d", round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	clear(b.marked)
	lines := bufio.NewScanner(out)
	for n := 50 + rand.IntN(1000); n > 0 && lines.Scan(); n-- {
		b.hear(lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		b.t.Errorf("the child process runs until it is killed (its errors are above): %v", err)
	}
	for lines.Scan() { // the lines before the kill
		b.hear(lines.Text())
	}
	io.Copy(io.Discard, out)
	cmd.Wait()
}

func (b *book) hear(line string) {
	what, id, ok := strings.Cut(strings.TrimPrefix(line, "crash: "), " ")
	if !ok || !strings.HasPrefix(line, "crash: ") {
		b.t.Log(line)
		return
	}
	switch what {
	case "begin":
		b.marked[id] = true
	case "end":
		delete(b.marked, id)
	case "tried0", "tried1":
		b.tried[id] = int(what[len(what)-1]-'0') + 1
	default:
		b.state[id] = what
	}
}

// verify opens the store and compares its messages with the book.
func (b *book) verify(c Config, dir string) {
	st := c.Open(b.t, dir)
	defer st.Close()
	there := make(map[string]bool)
	for e, err := range st.List(ctx, queue.Query{}) {
		if err != nil {
			b.t.Fatalf("List of an open store returns no error: %v", err)
		}
		there[e.ID] = true
		if b.state[e.ID] == "removed" || b.state[e.ID] == "" {
			b.t.Errorf("a message is in the store only if Put was called and no Remove was made durable by Sync: %s is there, and its last state is %q", e.ID, b.state[e.ID])
		}
	}
	_, journals := st.(queue.DeliveryJournal)
	for id, what := range b.state {
		switch {
		case there[id]:
			b.same(st, id, journals)
		case what == "put":
			b.t.Errorf("when Put has returned nil, the message survives the death of the process: %s is lost", id)
		default: // Put or Remove was not acknowledged: both results are right
			b.state[id] = "removed"
		}
		if there[id] {
			b.state[id] = "put"
		}
	}
}

func (b *book) same(st queue.Store, id string, journals bool) {
	m, err := st.Get(ctx, id)
	if err != nil {
		b.t.Errorf("Get returns a stored message: Get %s returned %v", id, err)
		return
	}
	interrupted := m.Interrupted
	for i, r := range m.Recipients {
		if r.Attempts > 1 || r.Attempts < 1 && i < b.tried[id] {
			b.t.Errorf("when Sync has returned nil, all updates before it survive the death of the process: recipient %d of %s has %d attempts, and the attempts at the first %d were made durable", i, id, r.Attempts, b.tried[id])
		}
		r.Attempts = 0
	}
	sameMessage(b.t, "a message that survives the death of the process is complete", m, crashMessage(id))
	if journals && b.marked[id] {
		if interrupted != 1 {
			b.t.Errorf("if the process dies between Begin and End, Interrupted is one higher: for %s it is %d, want 1", id, interrupted)
		}
		b.interrupted++
	}
}
