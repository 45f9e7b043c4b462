package index

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Slot is a message's place in the index; 0 is none. It is reused after
// Delete.
type Slot uint32

// inlineID is the length of the longest ID that is kept in the entry itself.
const inlineID = 31

// An Entry is what the index keeps of one message; Data is the store's own.
type Entry[T any] struct {
	Data     T
	Size     int64 // of the content
	Received int64 // Unix nanoseconds, 0 for the zero time

	due, until int64  // as Received; until counts only with an owner
	hop        uint32 // in Index.hops
	owner      uint32 // in Index.owners, 0 is nobody
	pos        uint32 // in its lane's heap; while free, the next free slot
	idLen      uint8
	id         [inlineID]byte
	level      uint8 // of the priority, see levelOf
	hidden     bool  // added, not shown yet
}

// An Index holds the entries. The zero value is empty.
type Index[T any] struct {
	slab   []*[slabLen]Entry[T]
	used   Slot            // slots ever given out
	free   Slot            // head of the list of free slots
	long   map[Slot]string // IDs that do not fit their entry
	ids    blocks
	levels [levels]level
	hops   interned[queue.NextHop, hopState]
	owners interned[string, struct{}]
	count  int
}

const slabLen = 1024

// At is the entry of a slot, valid until the slot is deleted.
func (x *Index[T]) At(s Slot) *Entry[T] { return &x.slab[s/slabLen][s%slabLen] }

// Len is the number of messages shown.
func (x *Index[T]) Len() int { return x.count }

// Add makes an entry that only Find sees until Show. ok is false when the ID
// is there already.
func (x *Index[T]) Add(id string, priority int) (s Slot, ok bool) {
	b, i, found := x.search(id)
	if found {
		return 0, false
	}
	s = x.alloc()
	e := x.At(s)
	e.hidden = true
	e.level = levelOf(priority)
	if e.idLen = uint8(len(id)); len(id) > inlineID {
		if x.long == nil {
			x.long = make(map[Slot]string)
		}
		x.long[s] = id
	} else {
		copy(e.id[:], id)
	}
	x.ids.insert(b, i, s)
	return s, true
}

func (x *Index[T]) alloc() Slot {
	if s := x.free; s != 0 {
		e := x.At(s)
		x.free = Slot(e.pos)
		*e = Entry[T]{}
		return s
	}
	x.used++ // slot 0 is never used
	if int(x.used/slabLen) >= len(x.slab) {
		x.slab = append(x.slab, new([slabLen]Entry[T]))
	}
	return x.used
}

// Show lets Claim and the rest see an entry, with its first schedule.
func (x *Index[T]) Show(s Slot, sch queue.Schedule) {
	e := x.At(s)
	e.hidden = false
	x.count++
	x.set(e, sch)
	x.enter(s, e)
}

// Hidden says whether the entry was not shown yet.
func (x *Index[T]) Hidden(s Slot) bool { return x.At(s).hidden }

// Delete forgets an entry, shown or not.
func (x *Index[T]) Delete(s Slot) {
	e := x.At(s)
	if !e.hidden {
		x.leave(s, e)
		x.hops.release(e.hop)
		x.owners.release(e.owner)
		x.count--
	}
	b, i, _ := x.search(x.ID(s))
	x.ids.remove(b, i)
	if e.idLen > inlineID {
		delete(x.long, s)
	}
	*e = Entry[T]{pos: uint32(x.free)}
	x.free = s
}

// Reschedule gives an entry a new schedule.
func (x *Index[T]) Reschedule(s Slot, sch queue.Schedule) {
	e := x.At(s)
	hop, owner := e.hop, e.owner
	if x.hops.find(sch.Hop) == hop { // it keeps its lane
		x.set(e, sch)
		x.moved(s, e)
	} else {
		x.leave(s, e)
		x.set(e, sch)
		x.enter(s, e)
	}
	x.hops.release(hop)
	x.owners.release(owner)
}

func (x *Index[T]) set(e *Entry[T], sch queue.Schedule) {
	e.hop = x.hops.hold(sch.Hop)
	e.owner = 0
	if sch.Owner != "" {
		e.owner = x.owners.hold(sch.Owner)
	}
	e.due, e.until = nano(sch.Due), nano(sch.Until)
}

// Lease gives an entry to owner until then and leaves the rest of its
// schedule.
func (x *Index[T]) Lease(s Slot, owner string, until time.Time) {
	e := x.At(s)
	held := x.owners.hold(owner)
	x.owners.release(e.owner)
	e.owner, e.until = held, nano(until)
	x.moved(s, e)
}

// HeldBy says whether owner has the entry in hand: its lease may have run
// out, as long as nobody else took it.
func (x *Index[T]) HeldBy(s Slot, owner string) bool {
	e := x.At(s)
	return owner != "" && e.owner != 0 && x.owners.key(e.owner) == owner
}

// Schedule is the entry's schedule as it was set. Volatile is not kept.
func (x *Index[T]) Schedule(s Slot) queue.Schedule {
	e := x.At(s)
	sch := queue.Schedule{Due: Time(e.due), Hop: x.hops.key(e.hop)}
	if e.owner != 0 {
		sch.Owner, sch.Until = x.owners.key(e.owner), Time(e.until)
	}
	return sch
}

// Priority of the entry's message.
func (x *Index[T]) Priority(s Slot) int { return priorityOf(x.At(s).level) }

// ID of the entry's message.
func (x *Index[T]) ID(s Slot) string {
	e := x.At(s)
	if e.idLen > inlineID {
		return x.long[s]
	}
	return string(e.id[:e.idLen])
}

// nano is t in Unix nanoseconds, 0 for the zero time; times outside of what
// 64 bits hold (1678 to 2262) become the nearest that they do.
func nano(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Year() < 1678:
		return -1 << 63
	case t.Year() > 2261:
		return 1<<63 - 1
	}
	return t.UnixNano()
}

// Nano is how the index keeps times; Time is its inverse.
func Nano(t time.Time) int64 { return nano(t) }

// Time is the time of Unix nanoseconds, the zero time for 0.
func Time(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
