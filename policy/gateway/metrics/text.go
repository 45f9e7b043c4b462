package metrics

import (
	"bytes"
	"io"
	"math"
	"strconv"
	"strings"
)

// A Format is a text format for metrics.
type Format uint8

const (
	// Text is the Prometheus text format 0.0.4.
	Text Format = iota
	// OpenMetrics is OpenMetrics 1.0.
	OpenMetrics
)

// ContentType returns the media type of the format, for the field Content-Type.
func (f Format) ContentType() string {
	if f == OpenMetrics {
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain; version=0.0.4; charset=utf-8"
}

// Write writes families in the format. In label values, bytes that are not UTF-8 are
// replaced by U+FFFD.
func (f Format) Write(w io.Writer, families []Family) error {
	p := printer{format: f, names: make(map[string]bool, len(families))}
	for i := range families {
		p.names[families[i].Name] = true
	}
	for i := range families {
		p.family(&families[i])
	}
	if f == OpenMetrics {
		p.WriteString("# EOF\n")
	}
	_, err := w.Write(p.Bytes())
	return err
}

// A printer writes families into its buffer.
type printer struct {
	bytes.Buffer
	format Format
	names  map[string]bool // of the families
}

func (p *printer) family(f *Family) {
	name, kind := f.Name, f.Type.String()
	if p.format == OpenMetrics && f.Type == Counter {
		// The family of a counter x_total is x. If there is a gauge x too, the
		// counter has no type there, so that the names of families stay unique.
		if base := strings.TrimSuffix(name, "_total"); p.names[base] {
			kind = "unknown"
		} else {
			name = base
		}
	}
	p.comment("HELP", name, p.escape(f.Help, p.format == OpenMetrics))
	p.comment("TYPE", name, kind)
	for i := range f.Samples {
		s := &f.Samples[i]
		if s.Histogram != nil {
			p.histogram(f.Name, s)
			continue
		}
		p.sample(f.Name, s.Labels, "", s.Value)
	}
}

func (p *printer) comment(what, name, text string) {
	p.WriteString("# " + what + " " + name + " " + text + "\n")
}

func (p *printer) histogram(name string, s *Sample) {
	var below int64
	for i, n := range s.Histogram.Counts {
		bound := math.Inf(1)
		if i < len(s.Histogram.Bounds) {
			bound = s.Histogram.Bounds[i]
		}
		below += n
		p.sample(name+"_bucket", s.Labels, p.bound(bound), float64(below))
	}
	p.sample(name+"_sum", s.Labels, "", s.Histogram.Sum)
	p.sample(name+"_count", s.Labels, "", float64(s.Histogram.Count))
}

// bound formats an upper bound. OpenMetrics requires a point: "5.0".
func (p *printer) bound(v float64) string {
	text := number(v)
	if p.format == OpenMetrics && !strings.ContainsAny(text, ".eI") {
		text += ".0"
	}
	return text
}

// sample writes one line. le, if not empty, is the label of an upper bound.
func (p *printer) sample(name string, labels []Label, le string, v float64) {
	p.WriteString(name)
	separator := "{"
	label := func(name, value string) {
		p.WriteString(separator + name + `="` + p.escape(value, true) + `"`)
		separator = ","
	}
	for _, l := range labels {
		label(l.Name, l.Value)
	}
	if le != "" {
		label("le", le)
	}
	if separator == "," {
		p.WriteByte('}')
	}
	p.WriteString(" " + number(v) + "\n")
}

// number formats a value as Go does, and infinity as "+Inf".
func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

var (
	escapes       = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapesQuoted = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// escape escapes a text for a line, or for a value in quotes.
func (p *printer) escape(s string, quoted bool) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if quoted {
		return escapesQuoted.Replace(s)
	}
	return escapes.Replace(s)
}
