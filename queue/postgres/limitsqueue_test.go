package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A host counts the attempts of all nodes.
type host struct {
	mu            sync.Mutex // guards all below
	present, most int
	delivered     map[string]int // by node
}

// A hostDeliverer delivers to a host, for one node.
type hostDeliverer struct {
	*host
	node string
}

func (d hostDeliverer) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "out", Destination: "example.net"}, nil
}

func (d hostDeliverer) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	d.mu.Lock()
	d.present++
	d.most = max(d.most, d.present)
	d.mu.Unlock()
	time.Sleep(20 * time.Millisecond)
	d.mu.Lock()
	d.present--
	d.delivered[d.node] += len(rcpts)
	d.mu.Unlock()
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i].Outcome = queue.Success
	}
	return results
}

// The queues of three nodes share the concurrency of a next hop.
func TestQueuesShareConcurrency(t *testing.T) {
	t.Parallel()
	const limit, each = 4, 15
	url, h := pgtest.Database(t), &host{delivered: map[string]int{}}
	for _, name := range []string{"a", "b", "c"} {
		q := &queue.Queue{Store: open(t, url, lasting(name)), Deliverer: hostDeliverer{h, name}, Hostname: name + ".example.com"}
		q.Limits.Hop = queue.HopLimits{Concurrency: limit, Start: limit}
		ended := make(chan error)
		go func() { ended <- q.Run(context.Background()) }()
		t.Cleanup(func() {
			q.Shutdown(context.Background())
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		for i := range each {
			m := &queue.Message{From: "alice@example.com", Content: queue.String("Subject: x\r\n\r\nx\r\n"),
				Recipients: []*queue.Recipient{{Addr: fmt.Sprintf("u%d@example.net", i)}}}
			if err := q.Submit(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "delivery", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.delivered["a"]+h.delivered["b"]+h.delivered["c"] == 3*each
	})
	if h.most > limit || h.most < 2 {
		t.Errorf("%d attempts at the same time, the limit is %d", h.most, limit)
	}
}
