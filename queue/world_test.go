package queue_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A world is a queue whose Deliverer calls functions of the test.
type world struct {
	t     *testing.T
	q     *queue.Queue
	store *memory.Store
	begun time.Time

	mu      sync.Mutex
	route   func(m *queue.Message, r *queue.Recipient) (queue.NextHop, error)
	deliver func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result
	calls   []call
	ended   chan error
}

// A call is one Deliver call.
type call struct {
	at    time.Duration // since the world began
	hop   string
	id    string
	from  string
	rcpts []string
	text  string
}

func (c call) String() string {
	return fmt.Sprintf("%v %s <%s> -> %s", c.at.Round(time.Second), c.hop, c.from, strings.Join(c.rcpts, " "))
}

// newWorld returns a queue that retries without jitter and delivers all mail at
// once. It runs until the test ends.
func newWorld(t *testing.T, change func(*queue.Queue)) *world {
	w := &world{t: t, store: new(memory.Store), begun: time.Now(), ended: make(chan error, 1)}
	w.q = &queue.Queue{
		Store:     w.store,
		Deliverer: w,
		Hostname:  "relay.example.com",
		Retry:     queue.Retry{Jitter: -1},
	}
	if change != nil {
		change(w.q)
	}
	return w
}

func (w *world) run() *world {
	go func() { w.ended <- w.q.Run(context.Background()) }()
	return w
}

func (w *world) shutdown() {
	w.t.Helper()
	if err := w.q.Shutdown(context.Background()); err != nil {
		w.t.Errorf("Shutdown: %v", err)
	}
	if err := <-w.ended; err != nil {
		w.t.Errorf("Run: %v", err)
	}
}

func (w *world) Route(ctx context.Context, m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	if w.route != nil {
		return w.route(m, r)
	}
	_, domain, _ := strings.Cut(r.Addr, "@")
	return queue.NextHop{Connector: "out", Destination: domain}, nil
}

func (w *world) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	var text strings.Builder
	m.Content.WriteTo(&text)
	c := call{at: time.Since(w.begun), hop: hop.Destination, id: m.ID, from: m.From, text: text.String()}
	results := make([]queue.Result, len(rcpts))
	for i, r := range rcpts {
		c.rcpts = append(c.rcpts, r.Addr)
		results[i] = ok
		if w.deliver != nil {
			results[i] = w.deliver(hop, m, r)
		}
	}
	w.mu.Lock()
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	return results
}

// after waits for d in virtual time.
func (w *world) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// took returns the calls since the last took.
func (w *world) took() []call {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.calls
	w.calls = nil
	return c
}

func (w *world) submit(from string, to ...string) *queue.Message {
	w.t.Helper()
	m := message(from, to...)
	if err := w.q.Submit(context.Background(), m); err != nil {
		w.t.Fatalf("Submit: %v", err)
	}
	return m
}

func message(from string, to ...string) *queue.Message {
	return &queue.Message{
		From:       from,
		Recipients: queue.Rcpt(to...),
		Content:    queue.String("Subject: hello\r\nMessage-ID: <1@example.com>\r\n\r\nHello there.\r\n"),
	}
}

// stored returns the number of messages in the store.
func (w *world) stored() int {
	w.t.Helper()
	n := 0
	for _, err := range w.store.List(context.Background(), queue.Query{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}

var ok = queue.Result{Outcome: queue.Success, Host: "mx.example.net", Reply: smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok"}}

// says returns the result for a reply of a host. Its outcome depends on the
// code.
func says(code int, enhanced smtp.EnhancedCode, text string) queue.Result {
	r := queue.Result{Host: "mx.example.net", Reply: smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}}
	switch code / 100 {
	case 2:
		r.Outcome = queue.Success
	case 5:
		r.Outcome = queue.Failure
	}
	return r
}

var refused = queue.Result{Outcome: queue.Unreachable, Reply: smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 4, 1}, Message: "connection refused"}}

// actionOf returns the first Action field of a report.
func actionOf(report string) string {
	_, rest, _ := strings.Cut(report, "\r\nAction: ")
	action, _, _ := strings.Cut(rest, "\r\n")
	return action
}

// suspend suspends a next hop, and lift resumes it.
func suspend(t *testing.T, q *queue.Queue, hop queue.NextHop) {
	t.Helper()
	if _, err := q.Suspend(context.Background(), queue.Suspension{Hop: hop}); err != nil {
		t.Fatal(err)
	}
}

func lift(t *testing.T, q *queue.Queue, hop queue.NextHop) {
	t.Helper()
	if err := q.Lift(context.Background(), queue.Suspension{Hop: hop}); err != nil {
		t.Fatal(err)
	}
}
