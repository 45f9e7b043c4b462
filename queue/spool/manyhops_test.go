//go:build unix

package spool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// everyOwn is a Deliverer with a next hop for each domain. The deliveries end at
// random times during spread.
type everyOwn struct{ spread time.Duration }

func (everyOwn) Route(_ context.Context, _ *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Destination: r.Addr[strings.IndexByte(r.Addr, '@')+1:]}, nil
}

func (e everyOwn) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rs []*queue.Recipient) []queue.Result {
	if e.spread > 0 {
		time.Sleep(rand.N(e.spread))
	}
	return []queue.Result{{Outcome: queue.Success, Host: "mx.example.net", Addr: "192.0.2.1:25"}}
}

// deliverToAll delivers one message to n recipients with a next hop each, and returns
// the statistics of the spool.
func deliverToAll(t testing.TB, s *Spool, n int, spread time.Duration) Stats {
	ctx, cancel := context.WithCancel(bg)
	ended := make(chan struct{})
	q := &queue.Queue{Store: s, Deliverer: everyOwn{spread}, Hostname: "relay.test"}
	go func() {
		defer close(ended)
		q.Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	m := &queue.Message{From: "a@example.com", Content: queue.String("Subject: " + strings.Repeat("x", 4085) + "\r\n")}
	for i := range n {
		m.Recipients = append(m.Recipients, queue.Rcpt(fmt.Sprintf("user@d%d.test", i))...)
	}
	if err := q.Submit(ctx, m); err != nil {
		t.Fatal(err)
	}
	for s.Stats().Messages > 0 {
		time.Sleep(20 * time.Millisecond)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	return s.Stats()
}

// One message with a next hop for each recipient writes bytes in proportion to the
// recipients, however the ends of its deliveries are distributed.
func TestManyHops(t *testing.T) {
	for _, spread := range []time.Duration{0, 200 * time.Millisecond} {
		var last int64
		for _, n := range []int{200, 400, 800} {
			w := deliverToAll(t, openTest(t, t.TempDir()), n, spread).Written
			t.Logf("%d recipients, spread %v: %d bytes", n, spread, w)
			if w > int64(n)*1000 {
				t.Errorf("%d recipients, spread %v: %d bytes of log", n, spread, w)
			}
			if spread > 0 && last > 0 && w > 3*last {
				t.Errorf("%d recipients, spread %v: %d bytes of log, half as many recipients %d", n, spread, w, last)
			}
			last = w
		}
	}
}

func BenchmarkManyHops(b *testing.B) {
	for _, n := range []int{1250, 2500, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := Open(b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			cpu, written := cpuTime(), s.Stats().Written
			for b.Loop() {
				deliverToAll(b, s, n, time.Second)
			}
			cpu, written = cpuTime()-cpu, s.Stats().Written-written
			runtime.ReadMemStats(&after)
			b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(written)/float64(b.N)/(1<<20), "log-MiB/op")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/(1<<20), "alloc-MiB/op")
		})
	}
}

// cpuTime returns the CPU time of the process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
