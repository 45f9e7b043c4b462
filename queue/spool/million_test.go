package spool

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// BenchmarkMillion fills a spool with 1,000,000 waiting messages of 4 KiB, which takes
// 4.5 GB of disk. It measures their memory, the time of a submission compared with an
// empty spool, the time of a Claim while 900,000 messages wait for a dead hop, and the
// time of recovery.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	dir := b.TempDir()
	s, err := Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	empty, err := Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer empty.Close()
	before := heap()
	fill(b, s, n)
	b.ReportMetric(float64(heap()-before)/n, "B/message")

	var with, without rate
	for range 20 { // alternately
		without.add(putFor(b, empty, 4<<10, 20, 50*time.Millisecond))
		with.add(putFor(b, s, 4<<10, 20, 50*time.Millisecond))
	}
	b.ReportMetric(without.value()/with.value(), "submit-slower")

	c := queue.Claim{Owner: "bench", Now: time.Now(), Until: time.Now().Add(time.Hour), Max: 100, Except: map[queue.NextHop]bool{deadHop: true}}
	begin := time.Now()
	claimed := 0
	for range 100 {
		ms, err := s.Claim(context.Background(), c)
		if err != nil {
			b.Fatal(err)
		}
		claimed += len(ms)
	}
	if claimed != 10_000 {
		b.Fatalf("claimed %d messages", claimed)
	}
	b.ReportMetric(float64(time.Since(begin).Microseconds())/float64(claimed), "µs/claimed")

	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	s = nil
	runtime.GC()
	begin = time.Now()
	s, err = Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportMetric(time.Since(begin).Seconds(), "s/recovery")
	b.ReportMetric(float64(peakRSS())/1e6, "MB-peak")
	if r := s.Recovery(); r.Messages != n {
		b.Fatalf("recovered %d messages", r.Messages)
	}
}

var deadHop = queue.NextHop{Connector: "internet", Destination: "dead.example"}

// fill puts n messages. Nine of ten are for the dead hop.
func fill(b *testing.B, s *Spool, n int) {
	body := make([]byte, 4<<10)
	due := time.Now().Add(-time.Hour)
	var wg sync.WaitGroup
	for w := range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < n; i += 100 {
				hop := deadHop
				if i%10 == 0 {
					hop.Destination = fmt.Sprintf("live%d.example", i%1000)
				}
				m := benchMessage(fmt.Sprintf("20261121T%09d-%03d", i, w), body)
				if err := s.Put(context.Background(), m, queue.Schedule{Due: due, Hop: hop}); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	wg.Wait()
}

// heap returns the size of the live heap.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// peakRSS returns the most memory that the process has used, 0 if the system does not
// report it.
func peakRSS() (bytes int64) {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kb int64
			fmt.Sscan(rest, &kb)
			return kb << 10
		}
	}
	return 0
}
