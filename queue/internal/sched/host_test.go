package sched

import (
	"testing"
	"time"
)

// A hop that cannot be reached makes its host silent, unless another hop has
// reached the host since the attempt began.
func TestHostOfSeveralHops(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name     string
		answered time.Duration // when another hop was answered, after start; 0: never
		begun    time.Duration // when the attempt that failed began
		silent   bool
	}{
		{"no hop was answered", 0, 1 * time.Second, true},
		{"the last answer is older", 1 * time.Second, 2 * time.Second, true},
		{"another hop was answered meanwhile", 2 * time.Second, 1 * time.Second, false},
		{"at the same time by the clock", 1 * time.Second, 1 * time.Second, false},
	} {
		s := New(Limits{Active: 20, Deliveries: 8})
		one := s.hopFor(start, Key{Destination: "one.example"}, HopLimits{Concurrency: 5})
		other := s.hopFor(start, Key{Destination: "other.example"}, HopLimits{Concurrency: 5})
		s.meet(one, "192.0.2.1")
		s.meet(other, "192.0.2.1")
		if test.answered != 0 {
			s.hostAnswered(start.Add(test.answered), other)
		}
		s.hostSilent(start.Add(test.begun), one)
		want := 5
		if test.silent {
			want = 1
		}
		if n := other.hostLimit(); n != want {
			t.Errorf("%s: %d attempts at the host may run, want %d", test.name, n, want)
		}
	}
}
