package metrics_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// runQueue runs a gateway that has only a queue, until the test ends.
func runQueue(t *testing.T, store queue.Store, d queue.Deliverer) *gateway.Gateway {
	t.Helper()
	g := &gateway.Gateway{Hostname: "relay.example.com", Queue: &queue.Queue{Store: store, Deliverer: d}}
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

// A hangingStore does not answer List before its context ends.
type hangingStore struct{ queue.Store }

func (hangingStore) List(ctx context.Context, _ queue.Query) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		<-ctx.Done()
		yield(nil, ctx.Err())
	}
}

// A scrape ends in time if the store does not answer, and has what could be read.
func TestScrapeIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := runQueue(t, hangingStore{new(memory.Store)}, discard{})
		var log bytes.Buffer
		e := &metrics.Exporter{Gateway: g, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		began := time.Now()
		text, _ := get(t, e, "")
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		for part, want := range map[string]bool{"bridgehead_scrape_errors_total 1\n": true, "queue_attempts_total{": true, "queue_messages{": false} {
			if strings.Contains(text, part) != want {
				t.Errorf("%q: %t, want %t", part, !want, want)
			}
		}
		if !strings.Contains(log.String(), "metrics: queue: context deadline exceeded") {
			t.Errorf("log: %s", log.String())
		}
	})
}

// Only a few scrapes can be in progress at the same time.
func TestScrapesAreBoundedInNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := runQueue(t, hangingStore{new(memory.Store)}, discard{})
		e := &metrics.Exporter{Gateway: g, Scrapes: 2}
		done := make(chan error)
		for range 2 {
			go func() {
				_, err := e.Gather(t.Context())
				done <- err
			}()
		}
		synctest.Wait()
		if _, err := e.Gather(t.Context()); !errors.Is(err, metrics.ErrBusy) {
			t.Errorf("the third scrape: %v", err)
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		for range 2 {
			if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
	})
}

func TestScrapeMethods(t *testing.T) {
	e := &metrics.Exporter{Gateway: &gateway.Gateway{}}
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(method, "/metrics", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
	w := httptest.NewRecorder()
	(&metrics.Exporter{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 503 {
		t.Errorf("without a Gateway: %d", w.Code)
	}
}

// Before Run, a scrape does not touch the queue: its limits are not set yet.
func TestScrapeBeforeRun(t *testing.T) {
	r := newRelay(t)
	defer r.store.Close()
	text, _ := get(t, &metrics.Exporter{Gateway: &r.Gateway}, "application/openmetrics-text")
	s, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := s.values[`healthy{check="relay"}`]; !ok || v != 0 || strings.Contains(text, "queue_messages") || strings.Contains(text, "start_time_seconds 1") {
		t.Errorf("%s", text)
	}
}

// A nextHopRoute gives each recipient the next hop of its local part.
type nextHopRoute struct{}

func (nextHopRoute) Route(_ context.Context, _ *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	local, _, _ := strings.Cut(r.Addr, "@")
	return queue.NextHop{Connector: "out", Destination: local}, nil
}

func (nextHopRoute) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i].Outcome = queue.Unreachable
	}
	return results
}

// Only the busiest next hops are exported, and only on request.
func TestNextHops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := runQueue(t, new(memory.Store), nextHopRoute{})
		for hop := range 30 {
			for range hop + 1 {
				m := &queue.Message{From: "a@example.com", Recipients: queue.Rcpt(fmt.Sprintf("hop%02d@example.net", hop)), Content: queue.String("Subject: x\r\n\r\n")}
				if err := g.Queue.Submit(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		for asked, want := range map[int]int{0: 0, 3: 3, 20: 20, 1000: 20} {
			text, _ := get(t, &metrics.Exporter{Gateway: g, NextHops: asked}, "")
			if got := strings.Count(text, "\nbridgehead_next_hop_messages{"); got != want {
				t.Errorf("%d asked, %d exported, want %d", asked, got, want)
			}
			if first := `bridgehead_next_hop_messages{connector="out",destination="hop29"} 30`; want > 0 != strings.Contains(text, first) {
				t.Errorf("%d asked: the busiest one is wrong:\n%s", asked, text)
			}
		}
	})
}

// A figureStore has figures and warnings.
type figureStore struct{ *memory.Store }

func (figureStore) StoreStats() queue.StoreStats {
	return queue.StoreStats{Free: -1, Figures: map[string]float64{"dead_rows": 12, "bytes": 3.5e9}, Warnings: []string{"a", "b"}}
}

// The figures and the warnings of a store are exported.
func TestStoreFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, _ := get(t, &metrics.Exporter{Gateway: runQueue(t, figureStore{new(memory.Store)}, discard{})}, "")
		for _, line := range []string{`bridgehead_store_figure{name="bytes"} 3.5e+09`, `bridgehead_store_figure{name="dead_rows"} 12`, "bridgehead_store_warnings 2"} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s is missing in\n%s", line, text)
			}
		}
	})
}

// BenchmarkScrape measures a whole scrape of a relay that has no mail.
func BenchmarkScrape(b *testing.B) {
	g := &gateway.Gateway{Hostname: "relay.example.com", Queue: &queue.Queue{Store: new(memory.Store), Deliverer: discard{}}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	<-g.Ready()
	e := &metrics.Exporter{Gateway: g}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	}
	cancel()
	<-ended
}

// Describe has all families that Gather returns, with the same help and type.
func TestDescribe(t *testing.T) {
	r := newRelay(t)
	r.run(t)
	e := &metrics.Exporter{Gateway: &r.Gateway, NextHops: 1}
	all, err := e.Gather(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	described := e.Describe()
	if len(described) != len(all) {
		t.Errorf("%d families, %d described", len(all), len(described))
	}
	for i := range min(len(all), len(described)) {
		if a, d := all[i], described[i]; a.Name != d.Name || a.Help != d.Help || a.Type != d.Type || len(d.Samples) > 0 {
			t.Errorf("%+v is described as %+v", a, d)
		}
	}
}
