package sched

import (
	"container/heap"
	"time"
)

// timers is a heap of the hops with a timer, the earliest first.
type timers []*Hop

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].wakeAt.Before(t[j].wakeAt) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i]; t[i].timer, t[j].timer = i, j }
func (t *timers) Push(x any)        { h := x.(*Hop); h.timer = len(*t); *t = append(*t, h) }
func (t *timers) Pop() any {
	h := (*t)[len(*t)-1]
	h.timer = -1
	*t = (*t)[:len(*t)-1]
	return h
}

// set sets the timer of h.
func (t *timers) set(h *Hop, at time.Time) {
	h.wakeAt = at
	if h.timer < 0 {
		heap.Push(t, h)
	} else {
		heap.Fix(t, h.timer)
	}
}

// clear removes the timer of h.
func (t *timers) clear(h *Hop) {
	if h.timer >= 0 {
		heap.Remove(t, h.timer)
	}
}

// due removes and returns a hop whose timer has expired.
func (t *timers) due(now time.Time) *Hop {
	if len(*t) == 0 || (*t)[0].wakeAt.After(now) {
		return nil
	}
	return heap.Pop(t).(*Hop)
}
