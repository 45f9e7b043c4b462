package queue

import (
	"testing"
	"time"
)

// Counting allocates nothing.
func TestCountingAllocatesNothing(t *testing.T) {
	var n counts
	n.init()
	m := &Message{Received: time.Now(), Recipients: Rcpt("bob@example.net")}
	results := []Result{{Outcome: Success}}
	wall := time.Now()
	if allocs := testing.AllocsPerRun(100, func() {
		n.attempted(results, false)
		n.recipient(m, Delivered, wall)
		n.stored(m)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// BenchmarkCount measures what the counters add to a message: one count when it is
// stored, one for the attempt, and one for each recipient.
func BenchmarkCount(b *testing.B) {
	var n counts
	n.init()
	m := &Message{Received: time.Now().Add(-time.Minute), Recipients: Rcpt("bob@example.net")}
	results := []Result{{Outcome: Success}}
	wall := time.Now()
	for name, f := range map[string]func(){
		"Attempt":   func() { n.attempted(results, false) },
		"Recipient": func() { n.recipient(m, Delivered, wall) },
		"Stored":    func() { n.stored(m) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
