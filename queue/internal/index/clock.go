package index

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Two clocks measure what a message waits for. Leases and waits for a retry are
// by the clock of Claim.Now, which is never set. A due time without a wait is by
// the wall clock, Claim.Wall. The order of the messages is by the first clock, so
// it changes when the wall clock is set.

const (
	// minStep is the least step of the wall clock that changes the order.
	minStep = int64(500 * time.Millisecond)
	// slack is how far in the future a wait may have begun, according to a
	// clock that was not set back over a restart, but adjusted.
	slack = int64(time.Minute)
)

// Open tells the index that all its messages were stored by an earlier process.
// By the first claim the clock of this process is known. What has waited longer
// than its wait then, or seems to have begun to wait in the future, is due.
func (x *Index[T]) Open() {
	x.opened = true
	if x.loading {
		x.buildLists()
	}
}

// setClock takes the difference of the clocks from a claim.
func (x *Index[T]) setClock(c *queue.Claim) {
	ahead := int64(0)
	if !c.Wall.IsZero() {
		ahead = int64(c.Wall.Sub(c.Now))
	}
	step := ahead - x.ahead
	if !x.opened && -minStep < step && step < minStep {
		return
	}
	if x.ahead = ahead; x.opened {
		x.opened = false
		x.checkWaits(nano(c.Now))
	}
	x.reorder()
}

// checkWaits makes the messages due whose wait seems to begin in the future.
func (x *Index[T]) checkWaits(now int64) {
	for s := Slot(1); s <= x.used; s++ {
		if e := x.At(s); e.wait > 0 && e.due > now && e.due-now > e.wait && e.due-now-e.wait > slack {
			e.due = now
		}
	}
}

// reorder restores the order of all heaps.
func (x *Index[T]) reorder() {
	for n := range x.levels {
		v := x.levels[n]
		for _, l := range v {
			for i := len(l.heap)/2 - 1; i >= 0; i-- {
				x.down(l, i)
			}
		}
		for i := len(v)/2 - 1; i >= 0; i-- {
			x.laneDown(v, i)
		}
	}
}

// steady returns the time by the clock of Claim.Now for a wall clock time.
func (x *Index[T]) steady(n int64) int64 {
	if n == 0 || x.ahead == 0 {
		return n
	}
	d := n - x.ahead
	switch { // at the ends of the range
	case x.ahead > 0 && d > n:
		return -1 << 63
	case x.ahead < 0 && d < n:
		return 1<<63 - 1
	}
	return d
}
