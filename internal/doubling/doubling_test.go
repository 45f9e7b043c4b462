package doubling

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A quadratic function is found, and a linear one is not. The clock is the test's own,
// so that the result does not depend on the machine.
func TestCompare(t *testing.T) {
	var clock time.Duration
	used := func() time.Duration { return clock }
	cost := func(ns float64) { clock += time.Duration(ns) }
	runs := 0
	for _, test := range []struct {
		name   string
		f      func(s string)
		linear bool
	}{
		{"fast and quadratic", func(s string) { cost(float64(len(s)) * float64(len(s)) / 1e4) }, true},
		{"linear", func(s string) { cost(1000 * float64(len(s))) }, true},
		{"linear, with a cache that is too small", func(s string) {
			per := 1000.0
			if len(s) > short {
				per = 3000
			}
			cost(per * float64(len(s)))
		}, true},
		{"linear, three runs are disturbed", func(s string) {
			if runs++; runs <= 3 {
				cost(1e9)
			}
			cost(1000 * float64(len(s)))
		}, true},
		{"quadratic", func(s string) { cost(float64(len(s)) * float64(len(s))) }, false},
		{"quadratic, with a quarter of its time linear", func(s string) { cost(float64(len(s))*float64(len(s)) + short/3*float64(len(s))) }, false},
		{"cubic", func(s string) { n := float64(len(s)); cost(n * n * n / 1e5) }, false},
	} {
		s, l, linear := compare(used, test.f, strings.Repeat("a", short), strings.Repeat("a", long))
		if linear != test.linear {
			t.Errorf("%s: linear %v; %v for %d, %v for %d", test.name, linear, s, short, l, long)
		}
	}
}

// The processor time of this process does not go back.
func TestUsed(t *testing.T) {
	before := used()
	for range 1000 {
		now := used()
		if now < before {
			t.Fatalf("%v after %v", now, before)
		}
		before = now
	}
}

// A function that takes no time is linear for all units.
func TestTime(t *testing.T) {
	Time(t, map[string]func(string){"count": func(s string) { _ = strings.Count(s, "ab") }}, Units)
}
