package otel

import (
	"context"
	"maps"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Tracer makes spans of what a queue does with messages:
//
//   - "enqueue", when a message is submitted. Its parent is the span in the context of
//     Submit, if there is one.
//   - "deliver", for each attempt that was successful or will be repeated. It has the
//     duration of the attempt.
//   - "fail", when recipients have failed or expired.
//
// [Tracer.Hook] makes the first one, and stores its context in the labels of the
// message: "traceparent", and "tracestate" if there is one. Labels are in the store, so
// the other spans belong to the same trace also after a restart. They are never sent.
//
// [Tracer.Run] makes the other spans, from the events of the queue. So a slow exporter
// never delays a delivery: its spans are lost instead. Without the Hook, each of
// these spans is a trace of its own.
//
// The zero Tracer is ready to use. The fields must not change after the first call of a
// method. All methods are safe for concurrent use.
type Tracer struct {
	// Provider makes the spans. Default: otel.GetTracerProvider().
	Provider trace.TracerProvider
	// Propagator stores and reads the context of a trace. Default:
	// propagation.TraceContext.
	Propagator propagation.TextMapPropagator
	// Attributes, if set, returns further attributes for the span of an event. It must
	// not change e. By default a span has no address and no subject: only the message
	// ID, the next hop, the remote host and numbers.
	Attributes func(e *queue.Event) []attribute.KeyValue
}

// scope is the name of our instrumentation.
const scope = "github.com/bridgehead-mail/bridgehead/policy/gateway/metrics/otel"

func (t *Tracer) tracer() trace.Tracer {
	if t.Provider != nil {
		return t.Provider.Tracer(scope)
	}
	return otel.GetTracerProvider().Tracer(scope)
}

func (t *Tracer) propagator() propagation.TextMapPropagator {
	if t.Propagator != nil {
		return t.Propagator
	}
	return propagation.TraceContext{}
}

// Hook returns a hook for queue.Queue.Hooks.
func (t *Tracer) Hook() queue.Hook {
	return queue.Hook{Name: "trace", Submitted: func(ctx context.Context, m *queue.Message) error {
		if !trace.SpanContextFromContext(ctx).IsValid() { // the application may have set the labels
			ctx = t.propagator().Extract(ctx, propagation.MapCarrier(m.Options.Labels))
		}
		ctx, span := t.tracer().Start(ctx, "enqueue", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			attribute.String("bridgehead.message.id", m.ID), attribute.Int("bridgehead.recipients", len(m.Recipients)),
			attribute.Int64("bridgehead.message.size", m.Content.Size()), attribute.Bool("bridgehead.report", m.System)))
		defer span.End()
		carrier := propagation.MapCarrier{}
		t.propagator().Inject(ctx, carrier)
		setLabels(m, carrier)
		return nil
	}}
}

// The limits of queue.MessageOptions.Labels.
const (
	maxLabels      = 32
	maxLabelBytes  = 4 << 10
	maxLabelLength = 256
)

// setLabels stores the context of a trace in the labels of a message. If there is no
// room, it stores nothing: the mail is more important than the trace.
func setLabels(m *queue.Message, carrier propagation.MapCarrier) {
	labels := maps.Clone(m.Options.Labels)
	if labels == nil {
		labels = make(map[string]string, len(carrier))
	}
	for key, value := range carrier {
		if len(value) <= maxLabelLength { // a long tracestate is optional
			labels[key] = value
		}
	}
	size := 0
	for key, value := range labels {
		size += len(key) + len(value)
	}
	if len(labels) <= maxLabels && size <= maxLabelBytes {
		m.Options.Labels = labels
	}
}

// Run makes spans of the events of q until ctx ends. It is a task for
// gateway.Gateway.Tasks. Events before the call have no spans.
func (t *Tracer) Run(ctx context.Context, q *queue.Queue) error {
	events := q.Subscribe(0)
	stop := context.AfterFunc(ctx, events.Close)
	defer stop()
	t.Write(events)
	return nil
}

// Write makes spans of the events of a subscription until it is closed.
func (t *Tracer) Write(events *queue.Subscription) {
	for e := range events.C {
		t.span(&e)
	}
}

// span makes the span of an event.
func (t *Tracer) span(e *queue.Event) {
	name := ""
	switch e.Kind {
	case queue.EventSend, queue.EventDefer:
		name = "deliver"
	case queue.EventFail:
		name = "fail"
	default:
		return
	}
	ctx := t.propagator().Extract(context.Background(), propagation.MapCarrier(e.Labels))
	attributes := []attribute.KeyValue{
		attribute.String("bridgehead.message.id", e.ID), attribute.Int("bridgehead.recipients", len(e.Recipients)),
		attribute.Int64("bridgehead.message.size", e.Size),
	}
	for _, a := range [...]struct{ key, value string }{
		{"bridgehead.connector", e.Hop.Connector}, {"bridgehead.destination", e.Hop.Destination},
		{"server.address", e.Host}, {"network.peer.address", e.Addr}, {"bridgehead.tls", e.TLS},
	} {
		if a.value != "" {
			attributes = append(attributes, attribute.String(a.key, a.value))
		}
	}
	if t.Attributes != nil {
		attributes = append(attributes, t.Attributes(e)...)
	}
	_, span := t.tracer().Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(e.Time.Add(-e.Took)), trace.WithAttributes(attributes...))
	switch e.Kind {
	case queue.EventDefer:
		span.SetStatus(codes.Error, "deferred")
	case queue.EventFail:
		span.SetStatus(codes.Error, "failed")
	}
	span.End(trace.WithTimestamp(e.Time))
}
