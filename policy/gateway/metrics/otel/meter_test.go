package otel_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics/otel"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// The SDK reads the same numbers as the Exporter.
func TestRegister(t *testing.T) {
	d := deliverer{make(chan queue.Outcome, 10)}
	d.outcomes <- queue.Success
	g := runRelay(t, d, nil)
	if err := g.Queue.Submit(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if err := g.Queue.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := &metrics.Exporter{Gateway: g}
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	defer provider.Shutdown(context.Background())
	registration, err := otel.Register(provider.Meter("test"), e)
	if err != nil {
		t.Fatal(err)
	}
	got, units := collect(t, reader)
	families, err := e.Gather(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	want := func(name string, labels []metrics.Label, v float64, more ...string) {
		n++
		id := name
		for _, l := range labels {
			more = append(more, l.Name+"="+l.Value)
		}
		slices.Sort(more)
		if len(more) > 0 {
			id += " " + strings.Join(more, ",")
		}
		if x, ok := got[id]; !ok || x != v {
			t.Errorf("%s is %v (%t), want %v", id, x, ok, v)
		}
		delete(got, id)
	}
	for _, f := range families {
		for _, s := range f.Samples {
			if s.Histogram == nil {
				want(f.Name, s.Labels, s.Value)
				continue
			}
			below := int64(0)
			for i, count := range s.Histogram.Counts {
				below += count
				le := "+Inf"
				if i < len(s.Histogram.Bounds) {
					le = strconv.FormatFloat(s.Histogram.Bounds[i], 'g', -1, 64)
				}
				want(f.Name+"_bucket", s.Labels, float64(below), "le="+le)
			}
			want(f.Name+"_sum", s.Labels, s.Histogram.Sum)
			want(f.Name+"_count", s.Labels, float64(s.Histogram.Count))
		}
	}
	if len(got) > 0 || n < 100 {
		t.Errorf("%d samples; the Exporter does not have %v", n, got)
	}
	for name, unit := range map[string]string{"bridgehead_queue_oldest_seconds": "s", "bridgehead_queue_bytes": "By", "bridgehead_smtpd_bytes_total": "By",
		"bridgehead_queue_delivery_age_seconds_sum": "s", "bridgehead_queue_delivery_age_seconds_count": ""} {
		if units[name] != unit {
			t.Errorf("%s has the unit %q, want %q", name, units[name], unit)
		}
	}
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if got, _ := collect(t, reader); len(got) > 0 {
		t.Errorf("after Unregister: %v", got)
	}
}

// Instruments are registered before the relay runs, and have values as soon as it does.
func TestRegisterBeforeRun(t *testing.T) {
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	defer provider.Shutdown(context.Background())
	runRelay(t, deliverer{make(chan queue.Outcome, 1)}, func(g *gateway.Gateway) {
		if _, err := otel.Register(provider.Meter("test"), &metrics.Exporter{Gateway: g}); err != nil {
			t.Fatal(err)
		}
		if got, _ := collect(t, reader); got["bridgehead_healthy check=relay"] != 0 {
			t.Errorf("%v", got)
		}
	})
	got, _ := collect(t, reader)
	if v, ok := got["bridgehead_queue_messages state=ready"]; !ok || v != 0 || got["bridgehead_healthy check=relay"] != 1 {
		t.Errorf("%v", got)
	}
}

// collect returns the samples and the units of their instruments.
func collect(t *testing.T, reader *sdk.ManualReader) (samples map[string]float64, units map[string]string) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	samples, units = map[string]float64{}, map[string]string{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			units[m.Name] = m.Unit
			var points []metricdata.DataPoint[float64]
			switch data := m.Data.(type) {
			case metricdata.Gauge[float64]:
				points = data.DataPoints
			case metricdata.Sum[float64]:
				if !data.IsMonotonic || data.Temporality != metricdata.CumulativeTemporality {
					t.Errorf("%s is not a cumulative counter", m.Name)
				}
				points = data.DataPoints
			default:
				t.Fatalf("%s is a %T", m.Name, data)
			}
			for _, p := range points {
				id := m.Name
				labels := []string{}
				for _, a := range p.Attributes.ToSlice() {
					labels = append(labels, fmt.Sprintf("%s=%s", a.Key, a.Value.AsString()))
				}
				if slices.Sort(labels); len(labels) > 0 {
					id += " " + strings.Join(labels, ",")
				}
				samples[id] = p.Value
			}
		}
	}
	return samples, units
}
