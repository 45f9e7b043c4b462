package allot

import (
	"slices"
	"time"
)

// Slots divides limit slots among nodes that want wants[i] each, max-min fair: no node
// gets more than it wants, and a node gets less than it wants only if no other node gets
// more than one slot more. The slots that are left when the rest is divided equally go to
// nodes in the order of wants, beginning at place turn. With a turn that increases, each
// node gets one in time.
func Slots(limit int, wants []int, turn int) []int {
	order := make([]int, 0, len(wants)) // of those that want something, the least first
	for i, w := range wants {
		if w > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return wants[a] - wants[b] })
	got := make([]int, len(wants))
	left := max(limit, 0)
	for len(order) > 0 && wants[order[0]] <= left/len(order) {
		i := order[0]
		got[i] = wants[i]
		left -= wants[i]
		order = order[1:]
	}
	if len(order) == 0 {
		return got
	}
	slices.Sort(order)
	level, extra := left/len(order), left%len(order)
	for n, i := range order {
		got[i] = level
		if place := (n - turn%len(order) + len(order)) % len(order); place < extra {
			got[i]++
		}
	}
	return got
}

// Horizon is how far ahead the times of a rate are given to nodes. Nodes ask at least
// once a second.
const Horizon = 2 * time.Second

// Times returns how many times of a rate node me gets now. The first that no node has got
// is after wait. The nodes want wants[i] each, and are in the order in which they have
// got times, the one that had to wait longest first. Each gets a fair part of what can be
// given within Horizon, and leaves the parts of those before it.
func Times(rate float64, wait time.Duration, wants []int, me int) int {
	fair := Slots(begins(rate, 0), wants, 0)
	left := begins(rate, wait)
	for _, other := range fair[:me] {
		left -= other
	}
	return max(min(fair[me], left), 0)
}

// begins returns how many times of a rate there are from wait on, up to Horizon: one
// each 1/rate.
func begins(rate float64, wait time.Duration) int {
	ahead := Horizon - max(wait, 0)
	if ahead < 0 || rate <= 0 {
		return 0
	}
	return int(min(ahead.Seconds()*rate, 1<<30)) + 1
}

// Span is the duration of n times of a rate.
func Span(rate float64, n int) time.Duration {
	return time.Duration(min(float64(n)/rate, maxSpan.Seconds()) * float64(time.Second))
}

// maxSpan keeps the times of very low rates within the range of a time.Duration.
const maxSpan = 365 * 24 * time.Hour
