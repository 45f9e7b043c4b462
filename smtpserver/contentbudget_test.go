package smtpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// body returns n bytes of lines of content.
func body(n int) string {
	const line = "0123456789012345678901234567890123456789012345678901234567890\r\n"
	return strings.Repeat(line, n/len(line))
}

// A contentFiles makes content files and remembers them.
type contentFiles struct {
	dir string
	mu  sync.Mutex // guards all
	all []*os.File
}

func (c *contentFiles) create() (*os.File, error) {
	f, err := os.CreateTemp(c.dir, "content-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, f)
	return f, nil
}

// open returns the number of files that are open, and of those that were made.
func (c *contentFiles) open() (open, made int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.all {
		if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) {
			open++
		}
	}
	return open, len(c.all)
}

// budgetWorld is two servers that share a budget, in a bubble.
type budgetWorld struct {
	t      *testing.T
	budget *smtpserver.ContentBudget
	files  contentFiles
	subs   []string // of the messages that the Handler got
	mu     sync.Mutex
	hold   func() // called by the Handler
	dials  [2]func() *raw
}

func inBudgetWorld(t *testing.T, max int64, agents []smtpserver.Agent, client func(w *budgetWorld)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &budgetWorld{t: t, budget: &smtpserver.ContentBudget{Max: max}, files: contentFiles{dir: dir}}
		handler := smtpserver.HandlerFunc(func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
			if w.hold != nil {
				w.hold()
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.subs = append(w.subs, m.Header.Get("Subject"))
			m.Close()
			return "", nil
		})
		for i := range w.dials {
			srv := &smtpserver.Server{Hostname: "relay.example.com", Handler: handler, Agents: agents,
				ContentBudget: w.budget, ContentFile: w.files.create, Limits: smtpserver.Limits{MemoryContent: 16 << 10}}
			l := smtptest.NewListener()
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l) }()
			defer func() {
				srv.Close()
				<-served
			}()
			w.dials[i] = func() *raw {
				c, err := l.Dial("192.0.2.7:1025")
				if err != nil {
					t.Fatal(err)
				}
				return newRaw(t, c)
			}
		}
		client(w)
	})
}

// begin connects to server i, and begins a message with n bytes of content that
// take time to arrive.
func (w *budgetWorld) begin(i, n int, time time.Duration) *raw {
	w.t.Helper()
	c := w.dials[i]()
	c.greet()
	c.begin()
	c.slowly("Subject: x\r\n\r\n"+body(n), time)
	return c
}

// offer sends s while the test goes on. The server may close the connection
// before the end.
func (c *raw) offer(s string) { go io.WriteString(c, s) }

// slowly sends s in ten pieces.
func (c *raw) slowly(s string, d time.Duration) {
	c.t.Helper()
	for p := range slices.Chunk([]byte(s), len(s)/10+1) {
		c.send(string(p))
		time.Sleep(d / 10)
	}
	synctest.Wait()
}

// When unfinished messages take too much space, the slowest sessions end with
// 421 4.3.1, whichever server they are connected to. No more of them end than
// necessary, and nothing of their messages is left.
func TestContentBudget(t *testing.T) {
	inBudgetWorld(t, 1<<20, nil, func(w *budgetWorld) {
		var slow []*raw
		for i := range 5 { // they hold 1000 KB together, the first ones are slower
			slow = append(slow, w.begin(i%2, 200_000, time.Duration(20-2*i)*time.Second))
		}
		fast := w.begin(0, 500_000, time.Second)
		for i, c := range slow[:3] {
			c.expect("421 4.3.1")
			if c.gone(); i == 0 && w.budget.Used() > 1<<20 {
				t.Errorf("%d bytes are used", w.budget.Used())
			}
		}
		if open, made := w.files.open(); open != 3 || made != 6 {
			t.Errorf("%d of %d files are open, want 3 of 6", open, made)
		}
		for _, c := range append(slow[3:], fast) {
			c.send("\r\n.\r\n")
			c.expect("250")
			c.send("QUIT\r\n")
			c.expect("221")
			c.gone()
		}
		synctest.Wait()
		if open, _ := w.files.open(); open != 0 || w.budget.Used() != 0 || len(w.subs) != 3 {
			t.Errorf("%d files are open, %d bytes used, %d messages received", open, w.budget.Used(), len(w.subs))
		}
	})
}

// A session is also ended while it waits for the next chunk, in the middle of a
// chunk, and if its message is in memory.
func TestContentBudgetEndsAllKinds(t *testing.T) {
	inBudgetWorld(t, 100_000, nil, func(w *budgetWorld) {
		start := func() *raw {
			c := w.dials[0]()
			c.greet()
			c.send("MAIL FROM:<a@example.com>\r\n")
			c.expect("250")
			c.send("RCPT TO:<b@example.com>\r\n")
			c.expect("250")
			return c
		}
		between := start()
		chunk := "Subject: x\r\n\r\n" + body(30_000)
		between.send(fmt.Sprintf("BDAT %d\r\n", len(chunk)))
		between.slowly(chunk, 30*time.Second)
		between.expect("250")
		within := start()
		within.send("BDAT 90000\r\n")
		within.slowly(chunk, 20*time.Second)
		inMemory := start()
		inMemory.send("DATA\r\n")
		inMemory.expect("354")
		inMemory.slowly("Subject: x\r\n\r\n"+body(15_000), 10*time.Second)
		fast := w.begin(1, 90_000, time.Second)
		for _, c := range []*raw{between, within, inMemory} {
			c.expect("421 4.3.1")
			c.gone()
		}
		fast.send("\r\n.\r\n")
		fast.expect("250")
	})
}

// Sessions that hold little are spared: to end them would free little. Here
// they are even slower than the session that holds much.
func TestContentBudgetSparesTheSmall(t *testing.T) {
	inBudgetWorld(t, 1<<20, nil, func(w *budgetWorld) {
		var small []*raw
		for range 10 {
			small = append(small, w.begin(0, 2000, 10*time.Second))
		}
		large := []*raw{w.begin(0, 400_000, 10*time.Second), w.begin(0, 400_000, 10*time.Second)}
		fast := w.begin(1, 500_000, time.Second)
		large[0].expect("421 4.3.1")
		large[0].gone()
		for _, c := range append(small, large[1], fast) {
			c.send("\r\n.\r\n")
			c.expect("250")
		}
	})
}

// A client that is itself the slowest is ended.
func TestContentBudgetEndsTheSender(t *testing.T) {
	inBudgetWorld(t, 1<<20, nil, func(w *budgetWorld) {
		fast := w.begin(0, 600_000, time.Second)
		slow := w.begin(1, 400_000, 2*time.Minute)
		slow.offer(body(100_000))
		slow.expect("421 4.3.1")
		slow.gone()
		fast.send("\r\n.\r\n")
		fast.expect("250")
	})
}

// A message whose end of data has arrived is not given up, even if the Handler
// takes long and the message was the slowest.
func TestContentBudgetKeepsComplete(t *testing.T) {
	inBudgetWorld(t, 1<<20, nil, func(w *budgetWorld) {
		stored := make(chan struct{})
		w.hold = func() { <-stored }
		slow := w.begin(0, 700_000, 100*time.Second)
		slow.send("\r\n.\r\n")
		synctest.Wait()
		fast := w.dials[1]()
		fast.greet()
		fast.begin()
		fast.offer("Subject: x\r\n\r\n" + body(400_000))
		fast.expect("421 4.3.1")
		fast.gone()
		close(stored)
		slow.expect("250")
		if w.budget.Used() != 0 || len(w.subs) != 1 {
			t.Errorf("%d bytes used, %d messages", w.budget.Used(), len(w.subs))
		}
	})
}

// A session whose message is given up in the moment in which the client gives
// it up itself goes on.
func TestContentBudgetAndReset(t *testing.T) {
	var reset atomic.Bool
	given := make(chan struct{})
	agent := smtpserver.Agent{Reset: func(ctx context.Context, s *smtpserver.Session) {
		if !reset.Swap(true) {
			<-given
		}
	}}
	inBudgetWorld(t, 100_000, []smtpserver.Agent{agent}, func(w *budgetWorld) {
		given = make(chan struct{}) // of the bubble
		c := w.dials[0]()
		c.greet()
		c.send("MAIL FROM:<a@example.com>\r\n")
		c.expect("250")
		c.send("RCPT TO:<b@example.com>\r\n")
		c.expect("250")
		chunk := "Subject: x\r\n\r\n" + body(80_000) // so much that the minimum data rate does not shorten the wait
		c.send(fmt.Sprintf("BDAT %d\r\n", len(chunk)))
		c.slowly(chunk, 20*time.Second)
		c.expect("250")
		c.send("RSET\r\n")
		synctest.Wait()
		fast := w.begin(1, 90_000, time.Second)
		close(given)
		c.expect("250")
		time.Sleep(time.Minute)
		c.send("NOOP\r\n")
		c.expect("250")
		fast.send("\r\n.\r\n")
		fast.expect("250")
	})
}

// No message is longer than the budget, even if the limit for one message is
// larger or does not exist.
func TestContentBudgetLimitsMessage(t *testing.T) {
	for _, c := range []struct {
		srv  *smtpserver.Server
		want string
	}{
		{&smtpserver.Server{}, "SIZE 37748736"},
		{&smtpserver.Server{Limits: smtpserver.Limits{MessageSize: -1}}, "SIZE 268435456"},
		{&smtpserver.Server{ContentBudget: &smtpserver.ContentBudget{Max: 1000}}, "SIZE 1000"},
		{&smtpserver.Server{ContentBudget: &smtpserver.ContentBudget{Max: 1000}, Agents: []smtpserver.Agent{{Connect: func(_ context.Context, s *smtpserver.Session) error {
			s.SetMaxMessageSize(0)
			return nil
		}}}}, "SIZE 1000"},
	} {
		srv := smtptest.NewServer(t, c.srv)
		smtptest.Talk(t, srv.Addr, `
			S: 220
			C: EHLO client.example
			S: 250 `+c.want+`
		`)
	}
	srv := smtptest.NewServer(t, &smtpserver.Server{ContentBudget: &smtpserver.ContentBudget{Max: 1000}})
	c := dialRaw(t, srv.Addr)
	c.greet()
	c.begin()
	c.send("Subject: x\r\n\r\n" + body(1500) + ".\r\n")
	c.expect("552 5.3.4")
	c.begin()
	c.send("Subject: x\r\n\r\n" + body(500) + ".\r\n")
	c.expect("250")
}

// Many real sessions, with and without TLS, share too little space. Exactly the
// messages that got 250 are received, whole.
func TestContentBudgetUnderLoad(t *testing.T) {
	const clients = 40
	var received atomic.Int64
	files := contentFiles{dir: t.TempDir()}
	budget := &smtpserver.ContentBudget{Max: 2 << 20}
	text := "Subject: x\r\n\r\n" + body(200_000)
	handler := smtpserver.HandlerFunc(func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
		if n := m.Content().Size(); n != int64(len(text)) {
			t.Errorf("a message of %d bytes, want %d", n, len(text))
		}
		received.Add(1)
		return "", m.Close()
	})
	var servers [2]*smtptest.Server
	for i := range servers {
		servers[i] = smtptest.NewServer(t, &smtpserver.Server{Handler: handler, ContentBudget: budget, ContentFile: files.create,
			Limits: smtpserver.Limits{MemoryContent: 64 << 10, ConnectionsPerAddr: -1, MessageRate: -1}})
	}
	var accepted, ended atomic.Int64
	var all sync.WaitGroup
	var parts [5]sync.WaitGroup
	for i := range parts {
		parts[i].Add(clients)
	}
	for i := range clients {
		all.Go(func() {
			for round := range parts {
				c, err := net.Dial("tcp", servers[i%2].Addr)
				if err != nil {
					panic(err) // the other clients wait for this one
				}
				c.SetDeadline(time.Now().Add(time.Minute))
				r := newRaw(t, c)
				r.greet()
				r.begin()
				// All send a part before any sends the rest. The server may close the
				// connection before the end.
				n := len(text)/2 + 1000*i
				c.Write([]byte(text[:n]))
				parts[round].Done()
				parts[round].Wait()
				c.Write([]byte(text[n:] + ".\r\n"))
				switch lines, err := smtptest.ReadReply(r.r); {
				case err != nil:
					ended.Add(1) // a reset may overtake the reply
				case strings.HasPrefix(lines[0], "250"):
					accepted.Add(1)
				case strings.HasPrefix(lines[0], "421 4.3.1"):
					ended.Add(1)
				default:
					t.Errorf("%q", lines)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	t.Logf("%d messages accepted, %d ended", accepted.Load(), ended.Load())
	if accepted.Load() != received.Load() || accepted.Load() == 0 {
		t.Errorf("%d messages accepted, %d received", accepted.Load(), received.Load())
	}
	for _, srv := range servers {
		srv.Close()
	}
	if open, made := files.open(); open != 0 || budget.Used() != 0 {
		t.Errorf("%d of %d files are open, %d bytes used", open, made, budget.Used())
	}
}

// The cost of one byte when space is short, beside 5,000 sessions that hold it.
func BenchmarkContentBudget(b *testing.B) {
	smtpserver.Shortage(b, 5000)
}
