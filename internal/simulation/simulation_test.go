package simulation

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

var (
	seeds = flag.Int("seeds", 200, "how many seeds TestSeeds runs")
	first = flag.Uint64("first", 1, "the first seed")
	one   = flag.Uint64("seed", 0, "run only this seed, and print its trace")
)

// One processor, and no garbage collection while a world runs, so that goroutines that
// work at the same moment nearly always run in the same order.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(1 << 30)
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

// TestSameSeedSameRun repeats the runs of some seeds. On a busy machine the Go runtime may
// interrupt a goroutine between two moments of the world, which can change the order of
// what others do at that moment; the race detector makes it more likely. So the test repeats
// a run up to nine times.
func TestSameSeedSameRun(t *testing.T) {
	for seed := *first; seed < *first+uint64(min(*seeds, 10)); seed++ {
		seen := map[string]bool{}
		for again := true; again; {
			digest := simulate(t, seed, nil).digest()
			again = !seen[digest]
			seen[digest] = true
			if len(seen) == 10 {
				t.Fatalf("seed %d: ten runs differ", seed)
			}
		}
		if len(seen) > 1 {
			t.Logf("seed %d: %d of the runs differ", seed, len(seen))
		}
	}
}

// simulate runs the world of a seed.
func simulate(t *testing.T, seed uint64, print func(string)) (tr *trace) {
	runtime.GC()
	seedRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, print)
		w.run(t)
		for _, p := range w.oracle.problems[:min(len(w.oracle.problems), 5)] {
			t.Errorf("seed %d: %s", seed, p)
		}
		t.Logf("the most at a time: %+v", w.oracle.most)
		tr = w.trace
	})
	return tr
}
