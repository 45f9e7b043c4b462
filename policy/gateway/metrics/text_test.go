package metrics_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var families = []metrics.Family{
	{Name: "bridgehead_sessions", Help: "Open now.", Type: metrics.Gauge, Samples: []metrics.Sample{{Value: 3}}},
	{Name: "bridgehead_sessions_total", Help: "Begun.", Type: metrics.Counter, Samples: []metrics.Sample{{Value: 17}}},
	{Name: "bridgehead_refusals_total", Help: "A \"quote\", a \\ and\na line.", Type: metrics.Counter, Samples: []metrics.Sample{
		{Labels: []metrics.Label{{Name: "agent", Value: "a\\b\"c\nd\xff"}, {Name: "code", Value: "550"}}, Value: 1e21}}},
	{Name: "bridgehead_seconds", Help: "Took.", Type: metrics.HistogramType, Samples: []metrics.Sample{
		{Labels: []metrics.Label{{Name: "stage", Value: "mail"}}, Histogram: &metrics.Histogram{Bounds: []float64{0.5, 10}, Counts: []int64{2, 3, 1}, Sum: 42.5, Count: 6}}}},
	{Name: "bridgehead_nothing_total", Help: "No sample yet.", Type: metrics.Counter},
}

// The two formats, byte for byte. In OpenMetrics, a counter that has the name of a gauge
// has no type, because names of families are unique there.
func TestFormats(t *testing.T) {
	for format, want := range map[metrics.Format]string{
		metrics.Text: `# HELP bridgehead_sessions Open now.
# TYPE bridgehead_sessions gauge
bridgehead_sessions 3
# HELP bridgehead_sessions_total Begun.
# TYPE bridgehead_sessions_total counter
bridgehead_sessions_total 17
# HELP bridgehead_refusals_total A "quote", a \\ and\na line.
# TYPE bridgehead_refusals_total counter
bridgehead_refusals_total{agent="a\\b\"c\nd` + "\uFFFD" + `",code="550"} 1e+21
# HELP bridgehead_seconds Took.
# TYPE bridgehead_seconds histogram
bridgehead_seconds_bucket{stage="mail",le="0.5"} 2
bridgehead_seconds_bucket{stage="mail",le="10"} 5
bridgehead_seconds_bucket{stage="mail",le="+Inf"} 6
bridgehead_seconds_sum{stage="mail"} 42.5
bridgehead_seconds_count{stage="mail"} 6
# HELP bridgehead_nothing_total No sample yet.
# TYPE bridgehead_nothing_total counter
`,
		metrics.OpenMetrics: `# HELP bridgehead_sessions Open now.
# TYPE bridgehead_sessions gauge
bridgehead_sessions 3
# HELP bridgehead_sessions_total Begun.
# TYPE bridgehead_sessions_total unknown
bridgehead_sessions_total 17
# HELP bridgehead_refusals A \"quote\", a \\ and\na line.
# TYPE bridgehead_refusals counter
bridgehead_refusals_total{agent="a\\b\"c\nd` + "\uFFFD" + `",code="550"} 1e+21
# HELP bridgehead_seconds Took.
# TYPE bridgehead_seconds histogram
bridgehead_seconds_bucket{stage="mail",le="0.5"} 2
bridgehead_seconds_bucket{stage="mail",le="10.0"} 5
bridgehead_seconds_bucket{stage="mail",le="+Inf"} 6
bridgehead_seconds_sum{stage="mail"} 42.5
bridgehead_seconds_count{stage="mail"} 6
# HELP bridgehead_nothing No sample yet.
# TYPE bridgehead_nothing counter
# EOF
`,
	} {
		var b strings.Builder
		if err := format.Write(&b, families); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("format %d:\n%s\nwant:\n%s", format, b.String(), want)
		}
		if _, err := parse(b.String()); err != nil {
			t.Error(err)
		}
	}
}

// The field Accept selects the format. The first lines are from real programs.
func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]metrics.Format{
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": metrics.OpenMetrics, // Prometheus 2.42
		"application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1":                                                  metrics.OpenMetrics, // Prometheus 2.5
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;version=0.0.4;q=0.3,*/*;q=0.1":   metrics.Text,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8":                                                                       metrics.Text, // a browser
		"*/*": metrics.Text, // curl
		"":    metrics.Text,
		"text/plain, application/openmetrics-text;q=0.5":             metrics.Text,
		"application/openmetrics-text;q=0":                           metrics.Text,
		"application/openmetrics-text;q=2":                           metrics.Text,
		"application/openmetrics-text;q=NaN":                         metrics.Text,
		"application/openmetrics-text; version=9.0.0":                metrics.Text,
		"APPLICATION/OpenMetrics-Text":                               metrics.OpenMetrics,
		";;;,application/openmetrics-text":                           metrics.OpenMetrics,
		strings.Repeat("a/b,", 100) + "application/openmetrics-text": metrics.Text, // too long
	} {
		if got := metrics.Negotiate(accept); got != want {
			t.Errorf("%s: %d, want %d", accept, got, want)
		}
	}
}

// FuzzLabel writes any value of a label, and any text of a Help, and reads them back.
func FuzzLabel(f *testing.F) {
	for _, s := range []string{"", "back pressure", `a\b"c`, "line\nline", "\\n", "\xff\xfe", "}", `",x="`, "\r\t\x00", "\u2028\u202e", `\`} {
		f.Add(s, 1.5)
	}
	f.Add("v", math.Inf(-1))
	f.Fuzz(func(t *testing.T, text string, v float64) {
		for _, format := range []metrics.Format{metrics.Text, metrics.OpenMetrics} {
			var b strings.Builder
			err := format.Write(&b, []metrics.Family{{Name: "bridgehead_x", Help: text + " x", Type: metrics.Gauge,
				Samples: []metrics.Sample{{Labels: []metrics.Label{{Name: "a", Value: text}, {Name: "b", Value: "end"}}, Value: v}}}})
			if err != nil {
				t.Fatal(err)
			}
			s, err := parse(b.String())
			if err != nil {
				t.Fatal(err)
			}
			id := "x{a=" + strconv.Quote(strings.ToValidUTF8(text, "\uFFFD")) + `,b="end"}`
			if got, ok := s.values[id]; !ok || len(s.values) != 1 || got != v && got == got {
				t.Errorf("%q: %v, want %s %v", b.String(), s.values, id, v)
			}
		}
	})
}
