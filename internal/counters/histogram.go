// Package counters contains the statistics that are more than one number: a
// histogram and a set of counters with names. Packages count with them and with
// atomic.Int64. Counting allocates nothing and takes no lock.
package counters

import (
	"sync/atomic"
	"time"
)

// maxBounds is the largest number of bounds of a Scale. It is fixed, so that a
// Histogram needs no pointer to its counts.
const maxBounds = 24

// A Scale contains the bounds of a Histogram. It must not change after its first
// use.
type Scale struct {
	bounds [maxBounds]int64 // upper bounds, inclusive, ascending
	n      int
	time   bool // the values are nanoseconds, and seconds in a Snapshot
}

// Durations returns a Scale of durations. A Histogram then counts nanoseconds
// (int64(time.Since(start))), and its Snapshot has seconds. There are at most
// 24 bounds, in ascending order.
func Durations(bounds ...time.Duration) *Scale {
	s := &Scale{time: true, n: len(bounds)}
	for i, b := range bounds {
		s.bounds[i] = int64(b)
	}
	return s
}

// Numbers returns a Scale of plain numbers, such as bytes or messages. There are
// at most 24 bounds, in ascending order.
func Numbers(bounds ...int64) *Scale {
	s := &Scale{n: len(bounds)}
	copy(s.bounds[:], bounds)
	return s
}

// value returns v as a Snapshot has it. Seconds are exact, as in 0.005.
func (s *Scale) value(v int64) float64 {
	if s.time {
		return time.Duration(v).Seconds()
	}
	return float64(v)
}

const (
	ms     = time.Millisecond
	minute = time.Minute
)

// Scales that several packages use.
var (
	// Latency is for one step of a session and for one write to a disk: from
	// 1/2 ms to 10 minutes, the longest timeout of RFC 5321, 4.5.3.2.
	Latency = Durations(ms/2, ms, 2*ms, 5*ms, 10*ms, 25*ms, 50*ms, 100*ms, 250*ms, 500*ms,
		time.Second, 2500*ms, 5*time.Second, 10*time.Second, 30*time.Second, minute, 2*minute, 5*minute, 10*minute)
	// Age is for the age of a message when it leaves the queue: from 100 ms to
	// 5 days, the least queue lifetime of RFC 5321, 4.5.4.1. The bounds from 5
	// minutes on double as those of qshape do.
	Age = Durations(100*ms, 500*ms, time.Second, 5*time.Second, 15*time.Second, minute, 5*minute, 10*minute, 20*minute,
		40*minute, 80*minute, 160*minute, 320*minute, 640*minute, 1280*minute, 48*time.Hour, 72*time.Hour, 120*time.Hour)
	// Powers is for numbers of things: 1, 2, 4, ... 4096.
	Powers = Numbers(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
	// Sizes is for bytes: 1 KiB, 4 KiB, ... 256 MiB.
	Sizes = Numbers(1<<10, 4<<10, 16<<10, 64<<10, 256<<10, 1<<20, 4<<20, 16<<20, 64<<20, 256<<20)
)

// A Histogram counts values by size. The zero value uses the scale Latency. It
// is safe for concurrent use and must not be copied.
type Histogram struct {
	// Scale has the bounds. It must not change after the first use.
	Scale *Scale

	counts [maxBounds + 1]atomic.Int64
	sum    atomic.Int64
}

func (h *Histogram) scale() *Scale {
	if h.Scale == nil {
		return Latency
	}
	return h.Scale
}

// Observe counts one value: for a Scale of durations, in nanoseconds.
func (h *Histogram) Observe(v int64) {
	s := h.scale()
	i := 0
	for i < s.n && v > s.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(v)
}

// Snapshot returns the counts. Values that are counted at the same time may be
// in Counts and not yet in Sum.
func (h *Histogram) Snapshot() Snapshot {
	s := h.scale()
	r := Snapshot{Bounds: make([]float64, s.n), Counts: make([]int64, s.n+1)}
	for i := range r.Bounds {
		r.Bounds[i] = s.value(s.bounds[i])
	}
	for i := range r.Counts {
		r.Counts[i] = h.counts[i].Load()
		r.Count += r.Counts[i]
	}
	r.Sum = s.value(h.sum.Load())
	return r
}

// A Snapshot is the state of a Histogram at one time. Durations are in seconds.
type Snapshot struct {
	Bounds []float64 // upper bounds, inclusive, in ascending order
	Counts []int64   // the values up to each bound and above the bound before it; the last: above all bounds
	Sum    float64   // of all values
	Count  int64     // the number of all values
}

// Quantile returns an estimate of the value below which the part q of all
// values is, for example 0.5 for the median. It assumes that the values between
// two bounds are evenly distributed. For values above all bounds it returns the
// last bound. Without values it returns 0.
func (s Snapshot) Quantile(q float64) float64 {
	rank := q * float64(s.Count)
	var below int64
	for i, n := range s.Counts {
		if n == 0 || float64(below+n) < rank {
			below += n
			continue
		}
		if i == len(s.Bounds) {
			break
		}
		low := 0.0
		if i > 0 {
			low = s.Bounds[i-1]
		}
		return low + (s.Bounds[i]-low)*max(0, rank-float64(below))/float64(n)
	}
	if s.Count == 0 || len(s.Bounds) == 0 {
		return 0
	}
	return s.Bounds[len(s.Bounds)-1]
}

// Plus returns the sum of two snapshots of the same Scale. A zero Snapshot
// changes nothing.
func (s Snapshot) Plus(t Snapshot) Snapshot { return s.add(t, 1) }

// Minus returns what s counts and t does not. t is an earlier snapshot of the
// same Histogram, or zero.
func (s Snapshot) Minus(t Snapshot) Snapshot { return s.add(t, -1) }

func (s Snapshot) add(t Snapshot, sign int64) Snapshot {
	if len(s.Counts) == 0 {
		s = Snapshot{Bounds: t.Bounds, Counts: make([]int64, len(t.Counts))}
	}
	r := Snapshot{Bounds: s.Bounds, Counts: make([]int64, len(s.Counts)), Sum: s.Sum + float64(sign)*t.Sum, Count: s.Count + sign*t.Count}
	copy(r.Counts, s.Counts)
	for i := range min(len(r.Counts), len(t.Counts)) {
		r.Counts[i] += sign * t.Counts[i]
	}
	return r
}
