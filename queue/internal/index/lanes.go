package index

import (
	"math"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// levels is the number of priorities of RFC 6710, 9 to -9. Level 0 is the most
// urgent.
const levels = 19

func levelOf(priority int) uint8 { return uint8(9 - min(max(priority, -9), 9)) }
func priorityOf(level uint8) int { return 9 - int(level) }

// A hopState is the index's data about a next hop.
type hopState struct {
	lanes [levels]*lane
	ids   blocks[Slot] // its messages in the order of their IDs
	count int
	bytes int64
	retry int // messages in the state retry
}

// A lane has the messages of one hop and one priority, in a heap. The message
// that can be claimed first is at the root.
type lane struct {
	hop  uint32
	heap []Slot
	pos  int // position in its level
}

// A level has the lanes of one priority, in a heap. The lane whose first message
// can be claimed first is at the root.
type level []*lane

// ready returns when a message can be claimed next, in Unix nanoseconds by the
// clock of Claim.Now.
func (x *Index[T]) ready(e *Entry[T]) int64 {
	due := e.due
	if e.wait == 0 {
		due = x.steady(due)
	}
	if e.owner != 0 {
		return max(due, e.until)
	}
	return due
}

// before is the order of a lane: by the time when a message can be claimed, then
// by age.
func (x *Index[T]) before(a, b Slot) bool {
	ea, eb := x.At(a), x.At(b)
	if ra, rb := x.ready(ea), x.ready(eb); ra != rb {
		return ra < rb
	}
	if ea.Received != eb.Received {
		return ea.Received < eb.Received
	}
	return a < b
}

// enter puts an entry into the lane of its hop and level.
func (x *Index[T]) enter(s Slot, e *Entry[T]) {
	if x.loading {
		return
	}
	h := x.hops.extra(e.hop)
	x.insert(&h.ids, s)
	l := x.addToLane(h, s, e)
	x.up(l, int(e.pos))
	x.laneMoved(e.level, l)
}

// addToLane adds an entry at the end of its lane and to the sums of its hop. The caller
// restores the order of the lane.
func (x *Index[T]) addToLane(h *hopState, s Slot, e *Entry[T]) *lane {
	h.count++
	h.bytes += e.Size
	if e.state == retry {
		h.retry++
	}
	l := h.lanes[e.level]
	if l == nil {
		l = &lane{hop: e.hop, pos: len(x.levels[e.level])}
		h.lanes[e.level] = l
		x.levels[e.level] = append(x.levels[e.level], l)
	}
	l.heap = append(l.heap, s)
	e.pos = uint32(len(l.heap) - 1)
	return l
}

// leave takes an entry out of its lane. It deletes a lane that becomes empty.
func (x *Index[T]) leave(s Slot, e *Entry[T]) {
	if x.loading {
		return
	}
	h := x.hops.extra(e.hop)
	h.count--
	h.bytes -= e.Size
	if e.state == retry {
		h.retry--
	}
	x.remove(&h.ids, s)
	l := h.lanes[e.level]
	i, last := int(e.pos), len(l.heap)-1
	x.swap(l, i, last)
	l.heap = l.heap[:last]
	if last == 0 {
		x.dropLane(e.level, l)
		h.lanes[e.level] = nil
		return
	}
	if i < last {
		x.fix(l, i)
	}
	if cap(l.heap) > 64 && len(l.heap) < cap(l.heap)/4 {
		l.heap = append(make([]Slot, 0, 2*len(l.heap)), l.heap...) // give memory back after a backlog
	}
	x.laneMoved(e.level, l)
}

// moved restores the order after the times of an entry have changed.
func (x *Index[T]) moved(s Slot, e *Entry[T]) {
	if x.loading {
		return
	}
	l := x.hops.extra(e.hop).lanes[e.level]
	x.fix(l, int(e.pos))
	x.laneMoved(e.level, l)
}

func (x *Index[T]) swap(l *lane, i, j int) {
	l.heap[i], l.heap[j] = l.heap[j], l.heap[i]
	x.At(l.heap[i]).pos = uint32(i)
	x.At(l.heap[j]).pos = uint32(j)
}

func (x *Index[T]) fix(l *lane, i int) {
	if !x.up(l, i) {
		x.down(l, i)
	}
}

func (x *Index[T]) up(l *lane, i int) (moved bool) {
	for i > 0 {
		parent := (i - 1) / 2
		if !x.before(l.heap[i], l.heap[parent]) {
			break
		}
		x.swap(l, i, parent)
		i, moved = parent, true
	}
	return moved
}

func (x *Index[T]) down(l *lane, i int) {
	for {
		child := 2*i + 1
		if child >= len(l.heap) {
			return
		}
		if child+1 < len(l.heap) && x.before(l.heap[child+1], l.heap[child]) {
			child++
		}
		if !x.before(l.heap[child], l.heap[i]) {
			return
		}
		x.swap(l, i, child)
		i = child
	}
}

// The same for the heap of lanes in a level, ordered by their first messages.

func (x *Index[T]) laneBefore(a, b *lane) bool { return x.before(a.heap[0], b.heap[0]) }

func (v level) swap(i, j int) {
	v[i], v[j] = v[j], v[i]
	v[i].pos, v[j].pos = i, j
}

func (x *Index[T]) laneMoved(n uint8, l *lane) {
	v, i := x.levels[n], l.pos
	for i > 0 && x.laneBefore(v[i], v[(i-1)/2]) {
		v.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	x.laneDown(v, i)
}

func (x *Index[T]) laneDown(v level, i int) {
	for {
		child := 2*i + 1
		if child >= len(v) {
			return
		}
		if child+1 < len(v) && x.laneBefore(v[child+1], v[child]) {
			child++
		}
		if !x.laneBefore(v[child], v[i]) {
			return
		}
		v.swap(i, child)
		i = child
	}
}

// dropLane takes an empty lane out of its level.
func (x *Index[T]) dropLane(n uint8, l *lane) {
	v := x.levels[n]
	i, last := l.pos, len(v)-1
	v.swap(i, last)
	v[last] = nil
	x.levels[n] = v[:last]
	if i < last {
		x.laneMoved(n, v[i])
	}
}

// walk calls visit for lane i of the level and, if visit returns true, for the
// lanes below it in the heap. No lane is earlier than the one above it, so visit
// returns false when it needs no later lanes.
func (v level) walk(i int, visit func(*lane) (deeper bool)) {
	if i < len(v) && visit(v[i]) {
		v.walk(2*i+1, visit)
		v.walk(2*i+2, visit)
	}
}

// Hops returns the sums over the shown messages for each hop.
func (x *Index[T]) Hops() []queue.HopSum {
	sums := make([]queue.HopSum, 0, len(x.hops.nums))
	for i := range x.hops.vals {
		v := &x.hops.vals[i]
		if v.extra.count == 0 {
			continue
		}
		due := int64(math.MaxInt64)
		for _, l := range v.extra.lanes {
			if l != nil {
				due = min(due, x.ready(x.At(l.heap[0])))
			}
		}
		sums = append(sums, queue.HopSum{Hop: v.key, Count: v.extra.count, Bytes: v.extra.bytes, Due: Time(due),
			Oldest: Time(x.oldest(&v.extra.ids)), Deferred: v.extra.retry})
	}
	return sums
}
