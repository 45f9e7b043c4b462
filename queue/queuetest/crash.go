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

// crashDir is the environment variable that makes a process Crash's child; it
// names the store's directory. crashRound is the number of its life.
const (
	crashDir   = "QUEUETEST_CRASH_DIR"
	crashRound = "QUEUETEST_CRASH_ROUND"
)

// Crash runs the calling test again in a process of its own, which opens the
// store and works on it with several goroutines, saying on its standard output
// what the store has promised. After a random number of promises it is killed
// with SIGKILL, and what the store then holds is compared with them. This is
// done rounds times on the same store.
//
// Crash must be the first thing that its test calls.
func Crash(t *testing.T, c Config, rounds int) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(t, c, dir)
		return
	}
	dir := t.TempDir()
	b := &book{t: t, state: make(map[string]string), marked: make(map[string]bool)}
	for round := range rounds {
		b.live(dir, round)
		b.verify(c, dir)
		if t.Failed() {
			t.Fatalf("in life %d", round)
		}
	}
	t.Logf("%d lives, %d messages, %d of them found interrupted", rounds, len(b.state), b.interrupted)
}

// crashChild works until it is killed.
func crashChild(t *testing.T, c Config, dir string) {
	st := c.Open(t, dir)
	var mu sync.Mutex
	say := func(what, id string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("crash: %s %s\n", what, id) // unbuffered: said is said
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

// crashStep sees one message through a part of its life.
func crashStep(t *testing.T, st queue.Store, id string, say func(what, id string)) {
	m := crashMessage(id)
	say("putting", id)
	if err := st.Put(ctx, m, queue.Schedule{Owner: id, Until: time.Now().Add(time.Hour)}); err != nil {
		t.Errorf("Put: %v", err)
		return
	}
	say("put", id)
	if rand.IntN(2) == 0 {
		return
	}
	if mk, ok := st.(queue.DeliveryJournal); ok {
		mk.Begin(id)
		say("begin", id)
		if rand.IntN(4) == 0 {
			return // and never ends
		}
		say("end", id)
		mk.End(id)
	}
	say("removing", id)
	if err := st.Remove(ctx, id, id); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if rand.IntN(4) == 0 && st.Sync(ctx) == nil {
		say("removed", id)
	}
}

// crashMessage makes a message that its ID tells all about, now and then a
// large one.
func crashMessage(id string) *queue.Message {
	n := 100
	if strings.HasSuffix(id, "7") {
		n = 40000
	}
	m := message(id)
	m.Content = queue.String(strings.Repeat(id+"\r\n", n))
	return m
}

// A book keeps what the processes have said of each message: the last word.
type book struct {
	t           *testing.T
	state       map[string]string
	marked      map[string]bool // begin, and no end
	interrupted int
}

// live runs one process until it has said enough, and kills it.
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
		b.t.Errorf("the process ended by itself: %v", err)
	}
	for lines.Scan() { // what it had said by then
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
	default:
		b.state[id] = what
	}
}

// verify opens the store and compares.
func (b *book) verify(c Config, dir string) {
	st := c.Open(b.t, dir)
	defer st.Close()
	there := make(map[string]bool)
	for e, err := range st.List(ctx, queue.Query{}) {
		if err != nil {
			b.t.Fatal(err)
		}
		there[e.ID] = true
		if b.state[e.ID] == "removed" || b.state[e.ID] == "" {
			b.t.Errorf("%s (%q) is there", e.ID, b.state[e.ID])
		}
	}
	_, marks := st.(queue.DeliveryJournal)
	for id, what := range b.state {
		switch {
		case there[id]:
			b.same(st, id, marks)
		case what == "put":
			b.t.Errorf("%s was acknowledged and is lost", id)
		default: // it never was, or its removal was on its way: now it is settled
			b.state[id] = "removed"
		}
		if there[id] {
			b.state[id] = "put"
		}
	}
}

func (b *book) same(st queue.Store, id string, marks bool) {
	m, err := st.Get(ctx, id)
	if err != nil {
		b.t.Errorf("Get %s: %v", id, err)
		return
	}
	interrupted := m.Interrupted
	sameMessage(b.t, m, crashMessage(id))
	if marks && b.marked[id] {
		if interrupted != 1 {
			b.t.Errorf("%s was in hand and is interrupted %d times", id, interrupted)
		}
		b.interrupted++
	}
}
