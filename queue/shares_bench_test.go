package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// BenchmarkSilentHops measures how long mail for hosts that answer waits beside
// 50,000 next hops that do not: p50, p99 and the maximum, in milliseconds. It
// takes half a minute.
func BenchmarkSilentHops(b *testing.B) {
	for range b.N {
		s := newShares(b)
		s.submitAll(b, 50_000, func(i int) string { return fmt.Sprintf("bob@h%d.silent.example", i) })
		s.waitRouted(b)
		for i := range 2000 {
			s.submit(b, fmt.Sprintf("bob@live%d.example", i%10))
			time.Sleep(5 * time.Millisecond)
		}
		s.report(b, 2000)
	}
}

// BenchmarkBacklog measures how long mail of a connector waits that is offered a
// quarter of what the relay can deliver, while another connector has 200,000
// messages waiting for 1,000 next hops. It takes half a minute.
func BenchmarkBacklog(b *testing.B) {
	const backlog, hops = 200_000, 1000
	for range b.N {
		s := newShares(b)
		s.submitAll(b, backlog, func(i int) string { return fmt.Sprintf("bob@h%d.backlog.example", i%hops) })
		const offered = 2000 // a second: 500 slots of 60 ms can deliver 8,333
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		n := 0
		for range 1000 {
			<-tick.C
			s.submitAll(b, offered/100, func(i int) string { return fmt.Sprintf("bob@live%d.example", i%10) })
			n += offered / 100
		}
		b.ReportMetric(float64(s.waiting(b)), "waiting")
		s.report(b, n)
	}
}

// shares is a queue whose hosts take 60 ms for a message, or are silent. Hosts
// with a backlog belong to another connector than those of live mail.
type shares struct {
	q     *queue.Queue
	ended chan error

	mu     sync.Mutex // guards what follows
	took   []time.Duration
	stored []time.Duration // how long Submit took, for comparison
}

func newShares(b *testing.B) *shares {
	store, err := spool.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	s := &shares{ended: make(chan error, 1)}
	s.q = &queue.Queue{Store: store, Deliverer: s, Hostname: "relay.example.com"}
	go func() { s.ended <- s.q.Run(context.Background()) }()
	b.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		s.q.Shutdown(now)
		<-s.ended
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func (s *shares) submit(b *testing.B, to string) {
	m := &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt(to), Content: queue.String("Subject: x\r\n\r\nHello.\r\n")}
	began := time.Now()
	if err := s.q.Submit(context.Background(), m); err != nil {
		b.Error(err)
	}
	if strings.Contains(to, "@live") {
		s.mu.Lock()
		s.stored = append(s.stored, time.Since(began))
		s.mu.Unlock()
	}
}

// submitAll submits n messages, 100 at a time, for the store's group commits.
func (s *shares) submitAll(b *testing.B, n int, to func(i int) string) {
	var wg sync.WaitGroup
	for w := range 100 {
		wg.Go(func() {
			for i := w; i < n; i += 100 {
				s.submit(b, to(i))
			}
		})
	}
	wg.Wait()
}

func (s *shares) Route(_ context.Context, _ *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	_, domain, _ := strings.Cut(r.Addr, "@")
	if strings.HasSuffix(domain, ".backlog.example") {
		return queue.NextHop{Connector: "partners", Destination: domain}, nil
	}
	return queue.NextHop{Connector: "internet", Destination: domain}, nil
}

func (s *shares) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	result := queue.Result{Outcome: queue.Success}
	wait := 60 * time.Millisecond
	if strings.HasSuffix(hop.Destination, ".silent.example") {
		result.Outcome = queue.Unreachable
		wait = 5 * time.Minute
		if queue.Hurry(ctx) {
			wait = 10 * time.Second
		}
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return slices.Repeat([]queue.Result{{Outcome: queue.Deferred}}, len(rcpts))
	case <-time.After(wait):
	}
	if strings.HasPrefix(hop.Destination, "live") {
		s.mu.Lock()
		s.took = append(s.took, began.Sub(m.Received))
		s.mu.Unlock()
	}
	return slices.Repeat([]queue.Result{result}, len(rcpts))
}

// waitRouted waits until the messages that were submitted have been routed and
// most of them are back in the store, so that only slots can delay the mail that
// follows.
func (s *shares) waitRouted(b *testing.B) {
	unrouted := func() int {
		qs, err := s.q.Queues(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		for _, q := range qs {
			if q.Hop == (queue.NextHop{}) {
				return q.Stored
			}
		}
		return 0
	}
	for before, n := -1, unrouted(); n != before; before, n = n, unrouted() {
		time.Sleep(time.Second)
	}
}

func (s *shares) waiting(b *testing.B) (n int) {
	qs, err := s.q.Queues(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	for _, q := range qs {
		n += q.Stored
	}
	return n
}

// report waits for the live messages and reports how long they waited for the
// beginning of their delivery.
func (s *shares) report(b *testing.B, n int) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		took := slices.Clone(s.took)
		s.mu.Unlock()
		if len(took) < n && time.Now().Before(end) {
			continue
		}
		if len(took) < n {
			b.Errorf("%d of %d live messages were delivered", len(took), n)
			return
		}
		slices.Sort(took)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b.ReportMetric(ms(took[n/2]), "p50-ms")
		b.ReportMetric(ms(took[n*99/100]), "p99-ms")
		b.ReportMetric(ms(took[n-1]), "max-ms")
		s.mu.Lock()
		slices.Sort(s.stored)
		b.ReportMetric(ms(s.stored[n*99/100]), "submit-p99-ms")
		s.mu.Unlock()
		return
	}
}
