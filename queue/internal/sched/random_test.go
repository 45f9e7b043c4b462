package sched

import (
	"testing"
	"time"
)

// episode lets some events happen. Then all trouble ends and the mail is let
// end, or the driver stops.
func episode(t testing.TB, steps int, choose func(int) int) *world {
	w := newWorld(t, choose)
	for range steps {
		w.step()
	}
	if choose(8) == 0 {
		w.halt()
	} else {
		w.drain()
	}
	return w
}

// Whatever happens, in whatever order, the invariants hold after each event, and
// all mail ends when the trouble does. A million events take about ten seconds
// on one core.
func TestRandomEvents(t *testing.T) {
	n, begun := 0, time.Now()
	for seed := uint64(1); n < events; seed++ {
		n += episode(seeded{t, seed}, 1000, random(seed)).events
	}
	t.Logf("%d events, %.0f a minute", n, float64(n)/time.Since(begun).Minutes())
}

// seeded is a test that names the seed when it fails.
type seeded struct {
	testing.TB
	seed uint64
}

func (s seeded) Fatalf(format string, args ...any) {
	s.Helper()
	s.TB.Fatalf("seed %d: "+format, append([]any{s.seed}, args...)...)
}

// events is how many events TestRandomEvents has.
var events = 1_000_000

// The same events give the same decisions.
func TestTheSameEventsGiveTheSameDecisions(t *testing.T) {
	for seed := range uint64(100) {
		a, b := episode(t, 500, random(seed)), episode(t, 500, random(seed))
		if a.digest != b.digest || a.events != b.events {
			t.Fatalf("seed %d: %d and %d events, other decisions", seed, a.events, b.events)
		}
	}
}

// FuzzEvents has the fuzzer choose the events.
func FuzzEvents(f *testing.F) {
	for seed := range uint64(8) {
		choose, choices := random(seed), make([]byte, 500)
		for i := range choices {
			choices[i] = byte(choose(256))
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		fallback := random(1) // for the drain
		episode(t, min(len(choices), 1000), func(n int) int {
			if len(choices) == 0 {
				return fallback(n)
			}
			c := choices[0]
			choices = choices[1:]
			return int(c) % n
		})
	})
}
