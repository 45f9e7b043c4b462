package prometheus

import (
	"context"
	"errors"
	"strings"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
)

// A Collector is a prometheus.Collector for the metrics of an Exporter, with the same
// names, labels and values. It is safe for concurrent use. Exporter.Timeout and
// Exporter.Scrapes apply.
type Collector struct {
	Exporter *metrics.Exporter // must be set
}

var _ client.Collector = Collector{}

// Describe sends nothing: which metrics there are depends on the state and the settings
// of the relay. So a registry does not check them when the Collector is registered.
func (c Collector) Describe(chan<- *client.Desc) {}

// Collect sends all metrics. If some could not be read, it sends the others, and
// bridgehead_scrape_errors_total counts them. If none could be read, the scrape of the
// registry fails.
func (c Collector) Collect(ch chan<- client.Metric) {
	families, err := c.Exporter.Gather(context.Background())
	if families == nil {
		if err == nil {
			err = errors.New("prometheus: no metrics")
		}
		ch <- client.NewInvalidMetric(client.NewInvalidDesc(err), err)
		return
	}
	for i := range families {
		f := &families[i]
		for j := range f.Samples {
			ch <- metric(f, &f.Samples[j])
		}
	}
}

// metric returns the metric of one sample.
func metric(f *metrics.Family, s *metrics.Sample) client.Metric {
	names, values := make([]string, len(s.Labels)), make([]string, len(s.Labels))
	for i, l := range s.Labels {
		names[i], values[i] = l.Name, strings.ToValidUTF8(l.Value, "\uFFFD")
	}
	desc := client.NewDesc(f.Name, f.Help, names, nil)
	var m client.Metric
	var err error
	switch {
	case s.Histogram != nil:
		buckets := make(map[float64]uint64, len(s.Histogram.Bounds))
		var below uint64
		for i, bound := range s.Histogram.Bounds {
			below += uint64(s.Histogram.Counts[i])
			buckets[bound] = below
		}
		m, err = client.NewConstHistogram(desc, uint64(s.Histogram.Count), s.Histogram.Sum, buckets, values...)
	case f.Type == metrics.Counter:
		m, err = client.NewConstMetric(desc, client.CounterValue, s.Value, values...)
	default:
		m, err = client.NewConstMetric(desc, client.GaugeValue, s.Value, values...)
	}
	if err != nil {
		return client.NewInvalidMetric(desc, err)
	}
	return m
}
