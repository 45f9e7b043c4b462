package otel_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A deliverer gives all recipients of a call the next outcome.
type deliverer struct{ outcomes chan queue.Outcome }

func (deliverer) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "out", Destination: "example.net"}, nil
}

func (d deliverer) Deliver(ctx context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	r := queue.Result{Outcome: queue.Deferred, Host: "mx.example.net", Addr: "192.0.2.1"}
	select {
	case r.Outcome = <-d.outcomes:
	case <-ctx.Done():
	}
	return slices.Repeat([]queue.Result{r}, len(rcpts))
}

// runRelay runs a relay until the test ends.
func runRelay(t testing.TB, d deliverer, change func(*gateway.Gateway)) *gateway.Gateway {
	t.Helper()
	g := &gateway.Gateway{Hostname: "relay.example.com", Grace: 200 * time.Millisecond, Queue: &queue.Queue{Store: &memory.Store{}, Deliverer: d}}
	if change != nil {
		change(g)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	<-g.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return g
}

func message() *queue.Message {
	return &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt("bob@example.net"), Content: queue.String("Subject: secret\r\n\r\nHello.\r\n")}
}
