package allot

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSlots(t *testing.T) {
	for _, tt := range []struct {
		limit int
		wants []int
		turn  int
		want  []int
	}{
		{20, nil, 0, []int{}},
		{20, []int{0, 0}, 0, []int{0, 0}},
		{20, []int{30}, 0, []int{20}},
		{20, []int{3, 30}, 0, []int{3, 17}},
		{20, []int{30, 3, 30}, 0, []int{9, 3, 8}},
		{20, []int{30, 3, 30}, 1, []int{8, 3, 9}},
		{21, []int{30, 30, 30}, 5, []int{7, 7, 7}},
		{2, []int{1, 1, 1}, 0, []int{1, 1, 0}},
		{2, []int{1, 1, 1}, 2, []int{1, 0, 1}},
		{1, []int{5, 0, 5, 5}, 0, []int{1, 0, 0, 0}},
		{1, []int{5, 0, 5, 5}, 1, []int{0, 0, 1, 0}},
		{1, []int{5, 0, 5, 5}, 2, []int{0, 0, 0, 1}},
		{1, []int{5, 0, 5, 5}, 3, []int{1, 0, 0, 0}},
		{0, []int{5}, 0, []int{0}},
		{-1, []int{5}, 0, []int{0}},
	} {
		if got := Slots(tt.limit, tt.wants, tt.turn); !slices.Equal(got, tt.want) {
			t.Errorf("Slots(%d, %v, %d) = %v, want %v", tt.limit, tt.wants, tt.turn, got, tt.want)
		}
	}
}

// The rules of max-min fairness hold for any wants, and each node gets its turn.
func TestSlotsRules(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		limit, wants := r.IntN(30), make([]int, r.IntN(9))
		sum := 0
		for i := range wants {
			wants[i] = max(r.IntN(15)-3, 0)
			sum += wants[i]
		}
		turn, total := r.IntN(1000), make([]int, len(wants))
		for range len(wants) + 1 {
			got := Slots(limit, wants, turn)
			turn++
			given, most := 0, 0
			for i := range got {
				given += got[i]
				total[i] += got[i]
				most = max(most, got[i])
			}
			if given != min(limit, sum) {
				t.Fatalf("%d of %d for %v: %v", given, limit, wants, got)
			}
			for i := range got {
				if got[i] > wants[i] || got[i] < wants[i] && got[i] < most-1 {
					t.Fatalf("%d for %v: %v", limit, wants, got)
				}
			}
		}
		for i := range wants {
			if wants[i] > 0 && limit > 0 && total[i] == 0 {
				t.Fatalf("%d for %v: node %d never gets a slot", limit, wants, i)
			}
		}
	}
}

func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		wait  time.Duration
		wants []int
		me    int
		want  int
	}{
		{0, []int{100}, 0, 21},
		{0, []int{5}, 0, 5},
		{0, []int{100, 100}, 0, 11},
		{0, []int{100, 100}, 1, 10},
		{time.Second, []int{100, 100}, 0, 11},
		{time.Second, []int{100, 100}, 1, 0}, // the first one has its part to get
		{time.Second, []int{3, 100}, 1, 8},
		{Horizon + 1, []int{100}, 0, 0},
	} {
		if got := Times(10, tt.wait, tt.wants, tt.me); got != tt.want {
			t.Errorf("Times(10, %v, %v, %d) = %d, want %d", tt.wait, tt.wants, tt.me, got, tt.want)
		}
	}
}

func TestBegins(t *testing.T) {
	for _, tt := range []struct {
		rate float64
		wait time.Duration
		want int
	}{
		{10, 0, 21}, {10, -time.Hour, 21}, {10, time.Second, 11}, {10, Horizon, 1}, {10, Horizon + 1, 0},
		{1. / 20, 0, 1}, {1. / 20, time.Second, 1}, {1. / 20, 3 * time.Second, 0}, {0, 0, 0}, {1e300, 0, 1<<30 + 1},
	} {
		if got := begins(tt.rate, tt.wait); got != tt.want {
			t.Errorf("begins(%v, %v) = %d, want %d", tt.rate, tt.wait, got, tt.want)
		}
	}
	if s := Span(4, 6); s != 1500*time.Millisecond {
		t.Error(s)
	}
	if s := Span(1e-300, 1); s != maxSpan {
		t.Error(s)
	}
}
