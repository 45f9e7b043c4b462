package queue_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A discarder is a Deliverer that counts the recipients and delivers nothing.
type discarder struct {
	n    atomic.Int64
	want int64
	done chan struct{}
}

func (d *discarder) Route(ctx context.Context, m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "out", Destination: r.Addr[len(r.Addr)-len("h0.example"):]}, nil
}

func (d *discarder) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i] = ok
	}
	if d.n.Add(int64(len(rcpts))) == d.want {
		close(d.done)
	}
	return results
}

// BenchmarkScheduler measures the cost of a recipient from Submit to Remove,
// with a store in memory and a discarder: for messages with one recipient and
// with 50, from one submitter and from 20.
func BenchmarkScheduler(b *testing.B) {
	for _, rcpts := range []int{1, 50} {
		for _, writers := range []int{1, 20} {
			b.Run(fmt.Sprintf("rcpts=%d/submitters=%d", rcpts, writers), func(b *testing.B) {
				benchmarkScheduler(b, rcpts, writers)
			})
		}
	}
}

func benchmarkScheduler(b *testing.B, rcpts, writers int) {
	messages := (b.N + rcpts - 1) / rcpts
	d := &discarder{want: int64(messages * rcpts), done: make(chan struct{})}
	q := &queue.Queue{Store: new(memory.Store), Deliverer: d, Hostname: "relay.example.com"}
	ended := make(chan error, 1)
	go func() { ended <- q.Run(context.Background()) }()
	content := queue.Bytes([]byte("Subject: x\r\n\r\n"), make([]byte, 4096-14))
	to := make([][]string, 10)
	for h := range to {
		for i := range rcpts {
			to[h] = append(to[h], fmt.Sprintf("user%d@h%d.example", i, h))
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range writers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(messages); i = next.Add(1) {
				m := &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt(to[i%10]...), Content: content}
				if err := q.Submit(context.Background(), m); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	<-d.done
	b.StopTimer()
	b.ReportMetric(float64(messages*rcpts)/b.Elapsed().Seconds(), "rcpts/s")
	if err := q.Shutdown(context.Background()); err != nil {
		b.Error(err)
	}
	<-ended
}
