package metrics_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A relay serves its metrics and its health over HTTP. The address should be one that
// only the monitoring system can reach.
func Example() {
	relay := &gateway.Gateway{
		Hostname: "relay.example.com",
		Queue:    &queue.Queue{Store: &memory.Store{}, Deliverer: discard{}},
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", &metrics.Exporter{Gateway: relay})
	mux.HandleFunc("/healthz", relay.Healthz)
	mux.HandleFunc("/readyz", relay.Readyz)
	srv := httptest.NewServer(mux) // usually an http.Server in Gateway.Tasks
	defer srv.Close()

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- relay.Run(ctx) }()
	<-relay.Ready()
	m := &queue.Message{From: "a@example.com", Recipients: queue.Rcpt("b@example.net"), Content: queue.String("Subject: hello\r\n\r\n")}
	if err := relay.Queue.Submit(ctx, m); err != nil {
		panic(err)
	}

	resp, err := http.Get(srv.URL + "/metrics")
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), "enqueued") {
			fmt.Println(lines.Text())
		}
	}
	stop()
	if err := <-ended; err != nil {
		panic(err)
	}
	// Output:
	// # HELP bridgehead_queue_enqueued_total Messages that were accepted into the queue, without its own reports.
	// # TYPE bridgehead_queue_enqueued_total counter
	// bridgehead_queue_enqueued_total 1
}

type discard struct{}

func (discard) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{}, nil
}

func (discard) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i].Outcome = queue.Success
	}
	return results
}
