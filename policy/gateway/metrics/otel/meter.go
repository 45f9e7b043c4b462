package otel

import (
	"context"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
)

// Register registers an observable instrument for each metric of e. The Meter reads all
// of them with one call of Exporter.Gather. The names are those of package metrics. The
// unit is s, By or none.
//
// A histogram becomes three instruments, because the API has no observable histogram:
// name_bucket with the attribute le, an upper bound, counts the values up to it,
// name_count counts all values, and name_sum adds them.
//
// Unregister of the result ends the callback.
func Register(m metric.Meter, e *metrics.Exporter) (metric.Registration, error) {
	r := reader{exporter: e, instruments: map[string]metric.Float64Observable{}}
	var all []metric.Observable
	for _, f := range e.Describe() {
		for _, part := range parts(f.Type) {
			i, err := instrument(m, &f, part)
			if err != nil {
				return nil, err
			}
			r.instruments[f.Name+part] = i
			all = append(all, i)
		}
	}
	return m.RegisterCallback(r.read, all...)
}

// Parts of a histogram.
const (
	bucket = "_bucket"
	sum    = "_sum"
	count  = "_count"
)

// parts returns the suffixes of the instruments of a metric.
func parts(t metrics.Type) []string {
	if t == metrics.HistogramType || t == metrics.GaugeHistogramType {
		return []string{bucket, sum, count}
	}
	return []string{""}
}

// instrument makes the instrument for a metric, or for a part of a histogram.
func instrument(m metric.Meter, f *metrics.Family, part string) (metric.Float64Observable, error) {
	unit := ""
	switch base := strings.TrimSuffix(f.Name, "_total"); {
	case part == bucket || part == count:
	case strings.HasSuffix(base, "_seconds"):
		unit = "s"
	case strings.HasSuffix(base, "_bytes"):
		unit = "By"
	}
	if f.Type == metrics.Gauge || f.Type == metrics.GaugeHistogramType {
		return m.Float64ObservableGauge(f.Name+part, metric.WithDescription(f.Help), metric.WithUnit(unit))
	}
	return m.Float64ObservableCounter(f.Name+part, metric.WithDescription(f.Help), metric.WithUnit(unit))
}

// A reader observes the metrics of an exporter.
type reader struct {
	exporter    *metrics.Exporter
	instruments map[string]metric.Float64Observable
}

// read is the callback. It observes what could be read, also if the rest could not.
func (r *reader) read(ctx context.Context, o metric.Observer) error {
	families, err := r.exporter.Gather(ctx)
	for i := range families {
		f := &families[i]
		for j := range f.Samples {
			r.observe(o, f, &f.Samples[j])
		}
	}
	return err
}

func (r *reader) observe(o metric.Observer, f *metrics.Family, s *metrics.Sample) {
	labels := make([]attribute.KeyValue, len(s.Labels), len(s.Labels)+1)
	for i, l := range s.Labels {
		labels[i] = attribute.String(l.Name, strings.ToValidUTF8(l.Value, "\uFFFD"))
	}
	with := metric.WithAttributes(labels...)
	h := s.Histogram
	if h == nil {
		o.ObserveFloat64(r.instruments[f.Name], s.Value, with)
		return
	}
	var below int64
	for i, n := range h.Counts {
		below += n
		le := "+Inf"
		if i < len(h.Bounds) {
			le = strconv.FormatFloat(h.Bounds[i], 'g', -1, 64)
		}
		o.ObserveFloat64(r.instruments[f.Name+bucket], float64(below), metric.WithAttributes(append(labels, attribute.String("le", le))...))
	}
	o.ObserveFloat64(r.instruments[f.Name+sum], h.Sum, with)
	o.ObserveFloat64(r.instruments[f.Name+count], float64(h.Count), with)
}
