package prometheus_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics/prometheus"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type discard struct{}

func (discard) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "out\xff", Destination: "example.net"}, nil
}

func (discard) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	return slices.Repeat([]queue.Result{{Outcome: queue.Success}}, len(rcpts))
}

// runRelay runs a relay until the test ends, and submits a message.
func runRelay(t testing.TB) *gateway.Gateway {
	t.Helper()
	g := &gateway.Gateway{Hostname: "relay.example.com", Queue: &queue.Queue{Store: &memory.Store{}, Deliverer: discard{}}}
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
	m := &queue.Message{From: "a@example.com", Recipients: queue.Rcpt("b@example.net"), Content: queue.String("Subject: x\r\n\r\n")}
	if err := g.Queue.Submit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := g.Queue.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

// A registry has the same samples as the Exporter, and promlint has no objection.
func TestCollector(t *testing.T) {
	e := &metrics.Exporter{Gateway: runRelay(t), NextHops: 5}
	registry := client.NewPedanticRegistry()
	registry.MustRegister(prometheus.Collector{Exporter: e})
	theirs, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := e.Gather(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]string{}, map[string]string{}
	for _, f := range ours {
		for _, s := range f.Samples {
			text := fmt.Sprint(s.Value)
			if s.Histogram != nil {
				text = fmt.Sprint(s.Histogram.Count, s.Histogram.Sum, s.Histogram.Counts[:len(s.Histogram.Bounds)])
			}
			labels := []string{}
			for _, l := range s.Labels {
				labels = append(labels, l.Name+"="+l.Value)
			}
			slices.Sort(labels)
			want[f.Name+" "+strings.Join(labels, ",")] = f.Type.String() + " " + text
		}
	}
	for _, f := range theirs {
		for _, m := range f.Metric {
			labels := []string{}
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			got[f.GetName()+" "+strings.Join(labels, ",")] = strings.ToLower(f.GetType().String()) + " " + valueOf(m)
		}
	}
	if len(got) < 40 {
		t.Errorf("only %d samples", len(got))
	}
	for id, v := range want {
		if got[id] != v {
			t.Errorf("%s is %q, want %q", id, got[id], v)
		}
	}
	for id := range got {
		if _, known := want[id]; !known {
			t.Errorf("%s is not of the Exporter", id)
		}
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

func valueOf(m *dto.Metric) string {
	switch {
	case m.Histogram != nil:
		counts, below := []int64{}, uint64(0)
		for _, b := range m.Histogram.Bucket {
			counts = append(counts, int64(b.GetCumulativeCount()-below))
			below = b.GetCumulativeCount()
		}
		return fmt.Sprint(m.Histogram.GetSampleCount(), m.Histogram.GetSampleSum(), counts)
	case m.Counter != nil:
		return fmt.Sprint(m.Counter.GetValue())
	}
	return fmt.Sprint(m.Gauge.GetValue())
}

// If nothing can be read, the scrape fails.
func TestCollectorWithoutAGateway(t *testing.T) {
	registry := client.NewRegistry()
	registry.MustRegister(prometheus.Collector{Exporter: &metrics.Exporter{}})
	if _, err := registry.Gather(); err == nil || !strings.Contains(err.Error(), "Exporter.Gateway is not set") {
		t.Errorf("%v", err)
	}
}

// The Collector is used like any other.
func ExampleCollector() {
	relay := &gateway.Gateway{Hostname: "relay.example.com", Queue: &queue.Queue{Store: &memory.Store{}, Deliverer: discard{}}}
	registry := client.NewRegistry()
	registry.MustRegister(prometheus.Collector{Exporter: &metrics.Exporter{Gateway: relay}})
	n, err := testutil.GatherAndCount(registry, "bridgehead_smtpd_sessions_total")
	fmt.Println(n, err)
	// Output: 1 <nil>
}

// BenchmarkCollect compares a scrape through the library with the Exporter's own text.
func BenchmarkCollect(b *testing.B) {
	e := &metrics.Exporter{Gateway: runRelay(b)}
	registry := client.NewRegistry()
	registry.MustRegister(prometheus.Collector{Exporter: e})
	b.Run("client_golang", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := registry.Gather(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("text", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
		}
	})
}
