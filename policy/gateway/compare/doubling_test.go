package compare_test

import (
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// Twice the lines, recipients, domains or different changes take about twice the
// time.
func TestDoubling(t *testing.T) {
	g := relay(t, table(t, nil, "world *"), domains("example.com"), nil)
	c := &compare.Comparison{Gateway: g, Candidate: compare.Candidate{Domains: domains(), Table: table(t, func(c *routing.Connector) {
		c.Spaces, c.SmartHosts = []string{"*"}, nil
	}, "dns *")}}
	compareAll := func(entries ...*tracking.Entry) {
		if _, err := c.Run(t.Context(), each(entries...)); err != nil {
			t.Error(err)
		}
	}
	lines := func(n int, to func(i int) string) []*tracking.Entry {
		all := make([]*tracking.Entry, n)
		for i := range all {
			all[i] = received("s@x.example", to(i), "client-ip", "10.0.0.1")
		}
		return all
	}
	doubling.Time(t, map[string]func(string){
		"lines": func(s string) { compareAll(lines(len(s)/64, func(int) string { return "b@example.net" })...) },
		"domains": func(s string) {
			compareAll(lines(len(s)/64, func(i int) string { return fmt.Sprintf("b@d%d.example", i) })...)
		},
		"recipients of a line": func(s string) {
			compareAll(received("s@x.example", strings.TrimSuffix(strings.Repeat("b@example.net;", len(s)/64), ";"), "client-ip", "10.0.0.1"))
		},
		"changes of a domain": func(s string) { // the reason of each has the address
			compareAll(lines(len(s)/64, func(i int) string { return fmt.Sprintf("b@a..%d", i) })...)
		},
		"a long domain": func(s string) { compareAll(received("s@x.example", "b@"+s)) },
	}, []string{"a.", "a"})
}

// BenchmarkLines compares a log of 1,000,000 lines to 1000 domains, without reading
// it from a file. lines/s is the number to look at.
func BenchmarkLines(b *testing.B) {
	const n = 1_000_000
	g := relay(b, table(b, nil, "org example.com", "world *"), domains("example.com"), nil)
	c := &compare.Comparison{Gateway: g, Candidate: compare.Candidate{Domains: domains("example.org"), Table: table(b, nil, "org example.com", "partner d7.example", "world *")}}
	var entries []*tracking.Entry
	for i := range 1000 {
		entries = append(entries, received("s@x.example", fmt.Sprintf("b@d%d.example", i), "client-ip", "10.0.0.1"))
	}
	var log iter.Seq2[*tracking.Entry, error] = func(yield func(*tracking.Entry, error) bool) {
		for i := range n {
			if !yield(entries[i%len(entries)], nil) {
				return
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := c.Run(b.Context(), log)
		if err != nil || r.Lines != n || len(r.Domains) != 1 {
			b.Fatalf("%+v, %v", r, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
