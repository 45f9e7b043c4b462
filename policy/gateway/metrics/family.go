package metrics

import "github.com/bridgehead-mail/bridgehead/internal/counters"

// Type is the type of a Family.
type Type uint8

const (
	// Counter is a total that only grows, until the process ends.
	Counter Type = iota
	// Gauge is a value that can go up and down.
	Gauge
	// HistogramType counts values by size since the process began.
	HistogramType
	// GaugeHistogramType counts the values that there are now by size, so that counts
	// can fall. The text formats write it as a histogram.
	GaugeHistogramType
)

// String returns "counter", "gauge" or "histogram".
func (t Type) String() string {
	return [...]string{"counter", "gauge", "histogram", "histogram", ""}[min(t, GaugeHistogramType+1)]
}

// A Family is a metric with its samples.
type Family struct {
	// Name begins with "bridgehead_". The name of a Counter ends with "_total".
	Name string
	// Help describes the metric in one sentence.
	Help    string
	Type    Type
	Samples []Sample
}

// A Sample is the value of a metric for one set of labels. All samples of a Family
// have the same names of labels, in the same order.
type Sample struct {
	Labels []Label
	// Value is the value, except for the two types of histograms.
	Value float64
	// Histogram is the value of a histogram. It is nil for the other types.
	Histogram *Histogram
}

// A Label is a name and a value that distinguishes samples.
type Label struct{ Name, Value string }

// A Histogram has the counts of values by size. Durations are in seconds.
//
//	type Histogram struct {
//		Bounds []float64 // upper bounds, inclusive, in ascending order
//		Counts []int64   // the values up to each bound and above the bound before it; the last: above all bounds
//		Sum    float64   // of all values
//		Count  int64     // the number of all values
//	}
type Histogram = counters.Snapshot

// builder collects families.
type builder struct{ families []Family }

// add adds a family.
func (b *builder) add(name string, t Type, help string, samples ...Sample) {
	b.families = append(b.families, Family{Name: prefix + name, Help: help, Type: t, Samples: samples})
}

// prefix is that of all names.
const prefix = "bridgehead_"

// value returns a sample. labels are names and values in turn.
func value[N int | int64 | float64](v N, labels ...string) Sample {
	return Sample{Labels: pairs(labels), Value: float64(v)}
}

// histogram returns a sample with a histogram.
func histogram(h Histogram, labels ...string) Sample {
	return Sample{Labels: pairs(labels), Histogram: &h}
}

func pairs(labels []string) (ls []Label) {
	for i := 0; i < len(labels); i += 2 {
		ls = append(ls, Label{labels[i], labels[i+1]})
	}
	return ls
}

// flag returns 1 for true.
func flag(is bool) int {
	if is {
		return 1
	}
	return 0
}
