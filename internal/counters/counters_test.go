package counters

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHistogramCountsByBound(t *testing.T) {
	h := Histogram{Scale: Numbers(1, 10, 100)}
	for _, v := range []int64{0, 1, 2, 10, 11, 100, 101, 1 << 40} {
		h.Observe(v)
	}
	s := h.Snapshot()
	if !slices.Equal(s.Bounds, []float64{1, 10, 100}) || !slices.Equal(s.Counts, []int64{2, 2, 2, 2}) {
		t.Errorf("%+v", s)
	}
	if s.Count != 8 || s.Sum != 225+1<<40 {
		t.Errorf("count %d, sum %v", s.Count, s.Sum)
	}
}

// The zero value counts durations, and its snapshot has seconds.
func TestHistogramZeroValue(t *testing.T) {
	var h Histogram
	h.Observe(int64(5 * time.Millisecond))
	h.Observe(int64(time.Hour))
	s := h.Snapshot()
	if s.Bounds[3] != 0.005 || s.Counts[3] != 1 || s.Counts[len(s.Counts)-1] != 1 {
		t.Errorf("%+v", s)
	}
	if math.Abs(s.Sum-3600.005) > 1e-9 {
		t.Errorf("sum %v", s.Sum)
	}
}

func TestScalesAscend(t *testing.T) {
	for name, s := range map[string]*Scale{"Latency": Latency, "Age": Age, "Powers": Powers, "Sizes": Sizes} {
		if s.n == 0 || !slices.IsSorted(s.bounds[:s.n]) {
			t.Errorf("%s: %v", name, s.bounds[:s.n])
		}
	}
}

func TestQuantile(t *testing.T) {
	h := Histogram{Scale: Numbers(10, 20, 30)}
	if q := h.Snapshot().Quantile(0.5); q != 0 {
		t.Errorf("without values: %v", q)
	}
	for range 10 {
		h.Observe(15)
	}
	s := h.Snapshot()
	for q, want := range map[float64]float64{0: 10, 0.5: 15, 1: 20} {
		if got := s.Quantile(q); got != want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
	h.Observe(1000)
	if got := h.Snapshot().Quantile(1); got != 30 {
		t.Errorf("above all bounds: %v", got)
	}
	if got := (Snapshot{}).Quantile(0.5); got != 0 {
		t.Errorf("zero Snapshot: %v", got)
	}
}

func TestPlusAndMinus(t *testing.T) {
	h := Histogram{Scale: Numbers(10)}
	h.Observe(5)
	before := h.Snapshot()
	h.Observe(50)
	after := h.Snapshot()
	if d := after.Minus(before); !slices.Equal(d.Counts, []int64{0, 1}) || d.Sum != 50 || d.Count != 1 {
		t.Errorf("Minus: %+v", d)
	}
	if p := (Snapshot{}).Plus(after).Plus(before); !slices.Equal(p.Counts, []int64{2, 1}) || p.Sum != 60 || p.Count != 3 {
		t.Errorf("Plus: %+v", p)
	}
	if !slices.Equal(after.Counts, []int64{1, 1}) {
		t.Errorf("the operand has changed: %+v", after)
	}
}

// Nothing is lost when many goroutines count at the same time.
func TestConcurrentCounts(t *testing.T) {
	const goroutines, each = 8, 1000
	h, set := Histogram{Scale: Powers}, Set{}
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				h.Observe(int64(i))
				set.Add("agent "+strconv.Itoa((g+i)%5), 1)
				if i%100 == 0 {
					h.Snapshot()
					set.Snapshot()
				}
			}
		})
	}
	wg.Wait()
	if s := h.Snapshot(); s.Count != goroutines*each || s.Sum != goroutines*each*(each-1)/2 {
		t.Errorf("count %d, sum %v", s.Count, s.Sum)
	}
	var sum int64
	names := set.Snapshot()
	for _, n := range names {
		sum += n
	}
	if sum != goroutines*each || len(names) != 5 {
		t.Errorf("%d in %v", sum, names)
	}
}

// The memory of a Set is bounded, also if a stranger chooses the names.
func TestSetIsBounded(t *testing.T) {
	var s Set
	for i := range 10 * MaxNames {
		s.Add(fmt.Sprint(i), 1)
	}
	s.Add("0", 1)
	names := s.Snapshot()
	if len(names) != MaxNames+1 || names["0"] != 2 || names[Other] != 9*MaxNames {
		t.Errorf("%d names, %d in 0, %d in other", len(names), names["0"], names[Other])
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	var h Histogram
	var s Set
	s.Add("agent", 1)
	if n := testing.AllocsPerRun(100, func() { h.Observe(1e6); s.Add("agent", 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, v := range []time.Duration{time.Millisecond, time.Second, time.Hour} {
		b.Run(v.String(), func(b *testing.B) {
			var h Histogram
			b.ReportAllocs()
			for b.Loop() {
				h.Observe(int64(v))
			}
		})
	}
}

func BenchmarkSet(b *testing.B) {
	var s Set
	for i := range 20 {
		s.Add("agent "+strconv.Itoa(i), 1)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Add("agent 7", 1)
	}
}
