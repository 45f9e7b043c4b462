package simulation

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

var (
	seeds = flag.Int("seeds", 200, "how many seeds TestSeeds runs")
	first = flag.Uint64("first", 1, "the first seed")
	one   = flag.Uint64("seed", 0, "run only this seed, and print its trace")
)

// One processor, so that goroutines that work at the same moment run in the same order
// nearly always.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	goleak.VerifyTestMain(m)
}

// TestSeeds runs the world once for each seed.
func TestSeeds(t *testing.T) {
	if *one != 0 {
		t.Log(simulate(t, *one, func(line string) { fmt.Println(line) }))
		return
	}
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed, nil) })
	}
}

// TestSameSeedSameRun runs seeds twice.
func TestSameSeedSameRun(t *testing.T) {
	for seed := *first; seed < *first+uint64(min(*seeds, 20)); seed++ {
		a, b := simulate(t, seed, nil), simulate(t, seed, nil)
		if a.digest() == b.digest() {
			continue
		}
		for i, line := range a.lines {
			if i >= len(b.lines) || line != b.lines[i] {
				t.Errorf("seed %d: two runs differ at line %d:\n%s\n%s", seed, i, line, b.lines[min(i, len(b.lines)-1)])
				break
			}
		}
	}
}

// simulate runs the world of a seed.
func simulate(t *testing.T, seed uint64, print func(string)) (tr *trace) {
	seedRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, print)
		w.run(t)
		for _, p := range w.oracle.problems[:min(len(w.oracle.problems), 5)] {
			t.Errorf("seed %d: %s", seed, p)
		}
		tr = w.trace
	})
	return tr
}
