package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// relay is a relay in memory for example.com. Its deliverer takes the given
// time.
type relay struct {
	gateway.Gateway
	socket *smtptest.Listener
	slow   time.Duration // the duration of an attempt
	// Attempts end only when stuck is closed, even if their context ends
	// earlier.
	stuck chan struct{}

	mu        sync.Mutex // guards the fields below
	log       bytes.Buffer
	delivered []string
	closed    []string
	ended     chan error
}

func newRelay(t *testing.T) *relay {
	r := &relay{socket: smtptest.NewListener(), ended: make(chan error, 1)}
	r.Hostname = "relay.example.com"
	r.Queue = &queue.Queue{Store: &memory.Store{}, Deliverer: r, Hostname: "relay.example.com"}
	r.Listeners = []*gateway.Listener{{Server: r.server(t, "relay.example.com"), Socket: r.socket}}
	r.Closers = []io.Closer{r.closer("router"), r.closer("store")}
	r.Logger = slog.New(slog.NewTextHandler(r, nil))
	return r
}

func (r *relay) server(t *testing.T, hostname string) *smtpserver.Server {
	t.Helper()
	srv := &smtpserver.Server{Hostname: hostname}
	gate := &policy.Gate{Domains: []policy.Domain{{Name: "example.com"}}, Queue: r.Queue}
	if err := gate.Install(srv); err != nil {
		t.Fatal(err)
	}
	return srv
}

// run runs the relay. stop ends it and returns the error of Run.
func (r *relay) run(t *testing.T) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	go func() { r.ended <- r.Run(ctx) }()
	return func() error {
		cancel()
		return <-r.ended
	}
}

func (r *relay) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := r.socket.Dial("192.0.2.1:1025")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *relay) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

func (r *relay) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

type closer func() error

func (c closer) Close() error { return c() }

func (r *relay) closer(name string) closer {
	return func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closed = append(r.closed, name)
		return nil
	}
}

func (r *relay) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Destination: "mail.example.com"}, nil
}

func (r *relay) Deliver(ctx context.Context, _ queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	if r.stuck != nil {
		<-r.stuck
	}
	outcome := queue.Success
	select {
	case <-time.After(r.slow):
	case <-ctx.Done():
		outcome = queue.Deferred
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		if results[i].Outcome = outcome; outcome == queue.Success {
			r.delivered = append(r.delivered, rcpts[i].Addr)
		}
	}
	return results
}

const envelope = `
	S: 220 relay.example.com
	C: EHLO client.example
	S: 250
	C: MAIL FROM:<someone@example.net>
	S: 250
	C: RCPT TO:<alice@example.com>
	S: 250
	C: DATA
	S: 354
	C: Subject: x
	C:
`

// At shutdown, the message that a session is receiving is accepted, and active
// messages are delivered. Then the Closers are closed in order.
func TestShutdownLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		r.slow = 5 * time.Second
		stop := r.run(t)
		c := smtptest.TalkOn(t, r.dial(t), envelope)
		if err := r.Queue.Submit(t.Context(), &queue.Message{Recipients: queue.Rcpt("bob@example.com"), Content: queue.String("Subject: x\r\n\r\n")}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- stop() }()
		synctest.Wait() // the shutdown has begun
		smtptest.TalkOn(t, c, "C: the rest\nC: .\nS: 250\nS: 421\n")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !slices.Contains(r.delivered, "bob@example.com") || fmt.Sprint(r.closed) != "[router store]" {
			t.Errorf("delivered %v and closed %v", r.delivered, r.closed)
		}
		// The last message may not have been attempted.
		for m, err := range r.Queue.Messages(t.Context(), queue.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			r.delivered = append(r.delivered, m.Recipients[0].Addr)
		}
		if !slices.Contains(r.delivered, "alice@example.com") || len(r.delivered) != 2 {
			t.Errorf("delivered or in the store: %v", r.delivered)
		}
		if log := r.logged(); strings.Contains(log, "WARN") || !strings.Contains(log, "listening") {
			t.Errorf("log:\n%s", log)
		}
	})
}

// The sessions of a replaced server end after ten minutes, because their limits
// are counted separately from those of the next server.
func TestServersWithoutAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		turned := smtptest.NewListener() // like the server of a Fetcher
		r.Listeners, r.Servers = nil, []*smtpserver.Server{r.server(t, "relay.example.com")}
		served := make(chan error, 1)
		r.Tasks = append(r.Tasks, func(context.Context) error {
			served <- r.Servers[0].Serve(turned)
			return nil
		})
		r.socket = turned
		stop := r.run(t)
		c := smtptest.TalkOn(t, r.dial(t), envelope)
		done := make(chan error)
		go func() { done <- stop() }()
		synctest.Wait()
		smtptest.TalkOn(t, c, "C: .\nS: 250\nS: 421\n")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, smtpserver.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// A session that does not end is closed after two thirds of Grace. The rest of
// the time is for the queue.
func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		stop := r.run(t)
		c := smtptest.TalkOn(t, r.dial(t), envelope+"C: and there it hangs\n")
		defer c.Close()
		r.Grace, r.slow = 30*time.Second, 25*time.Second
		if err := r.Queue.Submit(t.Context(), &queue.Message{Recipients: queue.Rcpt("bob@example.com"), Content: queue.String("Subject: x\r\n\r\n")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the attempt has begun
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 25*time.Second {
			t.Errorf("the shutdown took %v: 20s for the session, 25s for the attempt", took)
		}
		if got := fmt.Sprint(r.delivered); got != "[bob@example.com]" {
			t.Errorf("delivered %s", got)
		}
		if !strings.Contains(r.logged(), "WARN") {
			t.Errorf("log:\n%s", r.logged())
		}
	})
	synctest.Test(t, func(t *testing.T) { // the attempt takes too long, too
		r := newRelay(t)
		r.Grace, r.slow = 6*time.Second, time.Hour
		stop := r.run(t)
		synctest.Wait()
		m := &queue.Message{Recipients: queue.Rcpt("bob@example.com"), Content: queue.String("Subject: x\r\n\r\n")}
		if err := r.Queue.Submit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		if err := stop(); err != nil || time.Since(began) != 6*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if kept, err := r.Queue.Message(t.Context(), m.ID); err != nil || kept.Recipients[0].Status != queue.Waiting {
			t.Errorf("the message is no longer in the store: %+v, %v", kept, err)
		}
	})
}

func TestTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		var ended bool
		r.Tasks = []func(context.Context) error{
			func(context.Context) error { return nil }, // has returned nil
			func(ctx context.Context) error { <-ctx.Done(); ended = true; return ctx.Err() },
		}
		stop := r.run(t)
		synctest.Wait()
		select {
		case err := <-r.ended:
			t.Fatalf("ended: %v", err)
		default:
		}
		if err := stop(); err != nil || !ended {
			t.Errorf("%v, ended %v", err, ended)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		broken := errors.New("broken")
		r.Tasks = []func(context.Context) error{
			func(ctx context.Context) error { <-ctx.Done(); return nil },
			func(context.Context) error { time.Sleep(time.Minute); return broken },
		}
		r.run(t)
		if err := <-r.ended; !errors.Is(err, broken) || len(r.closed) != 2 {
			t.Errorf("%v, closed %v", err, r.closed)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		release := make(chan struct{})
		r.Tasks = []func(context.Context) error{func(context.Context) error { <-release; return nil }}
		began, stop := time.Now(), r.run(t)
		if err := stop(); err == nil || time.Since(began) != 9*time.Second {
			t.Errorf("a task that does not end: %v after %v", err, time.Since(began))
		}
		close(release)
	})
}

// A delivery that does not end does not block the shutdown.
func TestDeliveryThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		r.stuck = make(chan struct{})
		defer close(r.stuck)
		stop := r.run(t)
		synctest.Wait()
		if err := r.Queue.Submit(t.Context(), &queue.Message{Recipients: queue.Rcpt("bob@example.com"), Content: queue.String("Subject: x\r\n\r\n")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it is being attempted
		began := time.Now()
		if err := stop(); err == nil || !strings.Contains(err.Error(), "a delivery still runs") || time.Since(began) != 9*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if fmt.Sprint(r.closed) != "[router store]" {
			t.Errorf("closed %v", r.closed)
		}
	})
}

// If a socket fails, the relay shuts down and returns the error.
func TestSocketError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		r.run(t)
		synctest.Wait()
		r.socket.Close()
		if err := <-r.ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestListening(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := newRelay(t)
	first := &gateway.Listener{Server: r.server(t, "a"), Address: "127.0.0.1:0"}
	r.Listeners = []*gateway.Listener{first, {Server: r.server(t, "b"), Address: taken.Addr().String()}}
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("%v", err)
	}
	if _, err := first.Socket.Accept(); !errors.Is(err, net.ErrClosed) || len(r.closed) != 2 {
		t.Errorf("the first socket: %v; closed %v", err, r.closed)
	}
	r = newRelay(t)
	r.Listeners = []*gateway.Listener{{Address: "127.0.0.1:0"}}
	if err := r.Run(t.Context()); err == nil {
		t.Error("a listener without a server was opened")
	}
}
