package otel_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics/otel"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// traced runs a relay whose queue is traced.
func traced(t *testing.T, d deliverer, tracer *otel.Tracer) (*gateway.Gateway, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	tracer.Provider = provider
	g := runRelay(t, d, func(g *gateway.Gateway) { g.Queue.Hooks = []queue.Hook{tracer.Hook()} })
	events, done := g.Queue.Subscribe(0), make(chan bool)
	go func() {
		defer close(done)
		tracer.Write(events)
	}()
	t.Cleanup(func() {
		events.Close()
		<-done
	})
	return g, spans
}

// await returns the spans when there are n that have ended.
func await(t *testing.T, spans *tracetest.SpanRecorder, n int) []sdktrace.ReadOnlySpan {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if all := spans.Ended(); len(all) >= n {
			return all
		} else if time.Now().After(end) {
			t.Fatalf("%d spans, want %d", len(all), n)
		}
	}
}

// A message has one trace: from the program that submits it, over each attempt, to the
// result. A span has no address and no subject.
func TestTracer(t *testing.T) {
	d := deliverer{make(chan queue.Outcome)}
	tracer := &otel.Tracer{Attributes: func(e *queue.Event) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("tenant", e.Labels["tenant"])}
	}}
	g, spans := traced(t, d, tracer)
	ctx, parent := tracer.Provider.Tracer("application").Start(t.Context(), "order")
	m := message()
	m.Options.SetLabel("tenant", "blue")
	if err := g.Queue.Submit(ctx, m); err != nil {
		t.Fatal(err)
	}
	parent.End()
	id := m.ID
	await(t, spans, 2)
	deliver := func(o queue.Outcome, n int) {
		d.outcomes <- o
		await(t, spans, n)
	}
	deliver(queue.Deferred, 3)
	for done := 0; done == 0; { // until the message is in the store again
		var err error
		if done, err = g.Queue.Do(t.Context(), queue.Filter{ID: id}, queue.RetryNow()); err != nil {
			t.Fatal(err)
		}
	}
	deliver(queue.Success, 4)

	all := spans.Ended()
	var names []string
	for _, s := range all {
		names = append(names, s.Name())
		if s.SpanContext().TraceID() != parent.SpanContext().TraceID() {
			t.Errorf("%s is not in the trace of the application", s.Name())
		}
		text := fmt.Sprint(s.Attributes(), s.Status())
		if strings.Contains(text, "@") || strings.Contains(text, "secret") {
			t.Errorf("%s: %s", s.Name(), text)
		}
	}
	if got := strings.Join(names, " "); got != "enqueue order deliver deliver" {
		t.Fatalf("spans %s", got)
	}
	if all[0].Parent().SpanID() != parent.SpanContext().SpanID() || all[2].Parent().SpanID() != all[0].SpanContext().SpanID() {
		t.Error("the parents are wrong")
	}
	if s := all[2].Status(); s.Code != codes.Error || s.Description != "deferred" {
		t.Errorf("the first attempt: %v", s)
	}
	attributes := attribute.NewSet(all[3].Attributes()...)
	for key, want := range map[attribute.Key]string{"bridgehead.message.id": id, "bridgehead.connector": "out", "bridgehead.destination": "example.net",
		"server.address": "mx.example.net", "network.peer.address": "192.0.2.1", "tenant": "blue"} {
		if v, _ := attributes.Value(key); v.AsString() != want {
			t.Errorf("%s is %q, want %q", key, v.AsString(), want)
		}
	}
	if all[3].EndTime().Before(all[3].StartTime()) || all[3].Status().Code != codes.Unset {
		t.Errorf("the second attempt: %v to %v, %v", all[3].StartTime(), all[3].EndTime(), all[3].Status())
	}
}

// A failure is a span too. A message that has no room for labels is not refused.
func TestTracerWithoutRoom(t *testing.T) {
	d := deliverer{make(chan queue.Outcome, 1)}
	g, spans := traced(t, d, new(otel.Tracer))
	m := message()
	for i := range 32 {
		m.Options.SetLabel(fmt.Sprintf("label%d", i), "x")
	}
	if err := g.Queue.Submit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	d.outcomes <- queue.Failure
	for n := 2; n <= 3; n++ { // "enqueue" of the message, then "fail" and "enqueue" of the report
		for _, s := range await(t, spans, n) {
			if s.Name() == "fail" && s.Status().Description == "failed" && !s.Parent().IsValid() {
				return
			}
		}
	}
	t.Errorf("no span of the failure: %v", spans.Ended())
}

// Run ends with its context.
func TestTracerRun(t *testing.T) {
	g := runRelay(t, deliverer{make(chan queue.Outcome, 1)}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := new(otel.Tracer).Run(ctx, g.Queue); err != nil {
		t.Error(err)
	}
}

// A Tracer makes spans of the deliveries of a relay.
func ExampleTracer() {
	tracer := new(otel.Tracer)                            // uses the global TracerProvider
	q := &queue.Queue{Hooks: []queue.Hook{tracer.Hook()}} // and Store, Deliverer
	relay := &gateway.Gateway{
		Queue: q,
		Tasks: []func(context.Context) error{func(ctx context.Context) error { return tracer.Run(ctx, q) }},
	}
	fmt.Println(len(relay.Tasks))
	// Output: 1
}
