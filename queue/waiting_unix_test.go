//go:build unix

package queue_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// A deadOrGone is a Deliverer for which dead.example cannot be reached. It
// discards all other mail.
type deadOrGone struct{ n atomic.Int64 }

func (d *deadOrGone) Route(ctx context.Context, m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "out", Destination: r.Addr[len("bob@"):]}, nil
}

func (d *deadOrGone) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i] = ok
		if hop.Destination == "dead.example" {
			results[i] = refused
		}
	}
	d.n.Add(1)
	return results
}

// BenchmarkWaiting measures a durable submission with delivery and removal
// while many messages wait in the spool for a dead host, and the memory of the
// waiting messages. There are 20 submitters, and messages have 1 KiB. The
// number of waiting messages is 100,000 or BRIDGEHEAD_WAITING.
func BenchmarkWaiting(b *testing.B) {
	waiting := 100_000
	if s := os.Getenv("BRIDGEHEAD_WAITING"); s != "" {
		var err error
		if waiting, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	none, _ := crowd(b, 0)
	many, memory := crowd(b, waiting)
	// Alternately, because the load of the disk and of other processes changes.
	for round := range 3 {
		for _, side := range []struct {
			q *queue.Queue
			n int
		}{{none, 0}, {many, waiting}} {
			b.Run(fmt.Sprintf("waiting=%d/round=%d", side.n, round), func(b *testing.B) {
				cpu := cpuTime(b)
				submitAll(b, side.q, b.N, 20, "bob@example.net")
				b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submitted/s")
				if side.n > 0 {
					b.ReportMetric(float64(memory)/float64(side.n), "B/waiting")
				}
			})
		}
	}
}

// crowd starts a queue with a spool in which n messages wait for a dead host,
// and returns how much memory they need.
func crowd(b *testing.B, n int) (*queue.Queue, int64) {
	store, err := spool.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	q := &queue.Queue{Store: store, Deliverer: &deadOrGone{}, Hostname: "relay.example.com"}
	ended := make(chan error, 1)
	go func() { ended <- q.Run(context.Background()) }()
	b.Cleanup(func() {
		if err := q.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
		<-ended
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	before := heap()
	submitAll(b, q, n, 100, "bob@dead.example")
	settled(b, store, n)
	return q, heap() - before
}

// cpuTime returns the CPU time of the process so far. Wall-clock time would
// depend more on the disk and on other processes.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func submitAll(b *testing.B, q *queue.Queue, n, writers int, to string) {
	content := queue.Bytes([]byte("Subject: x\r\n\r\n"), make([]byte, 1024-14))
	var wg sync.WaitGroup
	var next atomic.Int64
	for range writers {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				m := &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt(to), Content: content}
				if err := q.Submit(context.Background(), m); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// settled waits until n messages wait under the hop of the dead host.
func settled(b *testing.B, store queue.Store, n int) {
	for {
		sums, err := store.Hops(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		parked := 0
		for _, s := range sums {
			if s.Hop.Destination == "dead.example" {
				parked += s.Count
			}
		}
		if parked >= n {
			return
		}
		runtime.Gosched()
	}
}
