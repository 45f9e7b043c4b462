package index

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Slot is the number of a message's entry in the index. 0 means no entry. A
// Slot is reused after Delete.
type Slot uint32

// inlineID is the length of the longest ID that is stored in the entry itself.
const inlineID = 31

// An Entry is the index's data about one message. Data belongs to the store.
type Entry[T any] struct {
	Data     T
	Size     int64 // of the content
	Received int64 // Unix nanoseconds, 0 for the zero time

	due, until int64  // Unix nanoseconds like Received; until is unused without an owner
	wait       int64  // nanoseconds; 0 means that due is a time by the wall clock
	hop        uint32 // number in Index.hops
	owner      uint32 // number in Index.owners, 0 if the message is not leased
	pos        uint32 // position in the heap of its lane; in a free entry, the next free slot
	from       Address
	one        [1]Recipient // the recipient, unless many is set
	idLen      uint8
	id         [inlineID]byte
	level      uint8 // of the priority, see levelOf
	state      state // the list of Index.byState that has the entry
	hidden     bool  // added, but not shown yet
	many       bool  // Index.many has the recipients
	attempted  bool  // a recipient has had an attempt
}

// Facts are the facts about a new message that do not change.
type Facts struct {
	Priority int
	Size     int64 // of the content
	Received time.Time
	From     Address
}

// An Index has the entries of a store. The zero value is empty.
type Index[T any] struct {
	slab   []*[slabLen]Entry[T]
	used   Slot            // the highest slot that was ever used
	free   Slot            // the first of the list of free slots
	long   map[Slot]string // IDs that are longer than inlineID
	many   map[Slot]*many
	ids    blocks[Slot]
	levels [levels]level
	hops   interned[queue.NextHop, hopState]
	owners interned[string, struct{}]
	count  int
	ahead  int64 // how far the wall clock is ahead of the clock of Claim.Now, nanoseconds: see clock.go
	opened bool  // by Open: the waits are of an earlier process

	byState               [states]blocks[Slot]
	bySender, byRecipient blocks[posting]
	loading               bool // by Load: of the lists, only ids is kept until Open
}

const slabLen = 1024

// At returns the entry of a slot. It is valid until Delete.
func (x *Index[T]) At(s Slot) *Entry[T] { return &x.slab[s/slabLen][s%slabLen] }

// Len returns the number of messages that are shown.
func (x *Index[T]) Len() int { return x.count }

// Add adds an entry. Until Show, only Find finds it. ok is false if the index has
// the ID already.
func (x *Index[T]) Add(id string, f Facts) (s Slot, ok bool) {
	b, i, found := x.search(id)
	if found {
		return 0, false
	}
	s = x.alloc()
	e := x.At(s)
	e.hidden = true
	e.level = levelOf(f.Priority)
	e.Size, e.Received, e.from = f.Size, nano(f.Received), f.From
	if e.idLen = uint8(len(id)); len(id) > inlineID {
		if x.long == nil {
			x.long = make(map[Slot]string)
		}
		x.long[s] = id
	} else {
		copy(e.id[:], id)
	}
	x.insertAt(&x.ids, b, i, s)
	return s, true
}

// alloc returns a free slot.
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

// Show makes an entry visible to all methods, with its first schedule.
func (x *Index[T]) Show(s Slot, sch queue.Schedule) {
	e := x.At(s)
	e.hidden = false
	x.count++
	x.set(e, sch)
	x.enter(s, e)
	x.setState(s, e)
	if !x.loading {
		x.post(&x.bySender, e.from.address, s)
		x.repost(s, nil, x.recipients(s), false, x.noneWaits(s))
	}
}

// Hidden reports whether the entry was not shown yet.
func (x *Index[T]) Hidden(s Slot) bool { return x.At(s).hidden }

// Delete deletes an entry, whether it was shown or not.
func (x *Index[T]) Delete(s Slot) {
	e := x.At(s)
	if !e.hidden {
		x.leave(s, e)
		x.hops.release(e.hop)
		x.owners.release(e.owner)
		x.count--
		x.leaveState(s, e)
		if !x.loading {
			x.unpost(&x.bySender, e.from.address, s)
			x.repost(s, x.recipients(s), nil, x.noneWaits(s), false)
		}
	}
	delete(x.many, s)
	x.remove(&x.ids, s)
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
	if x.hops.find(sch.Hop) == hop { // it stays in its lane
		x.set(e, sch)
		x.moved(s, e)
	} else {
		x.leave(s, e)
		x.set(e, sch)
		x.enter(s, e)
	}
	x.setState(s, e)
	x.hops.release(hop)
	x.owners.release(owner)
}

func (x *Index[T]) set(e *Entry[T], sch queue.Schedule) {
	e.hop = x.hops.acquire(sch.Hop)
	e.owner = 0
	if sch.Owner != "" {
		e.owner = x.owners.acquire(sch.Owner)
	}
	e.due, e.wait, e.until = nano(sch.Due), int64(max(sch.Wait, 0)), nano(sch.Until)
}

// Lease leases an entry to owner until a time. The rest of its schedule does not
// change.
func (x *Index[T]) Lease(s Slot, owner string, until time.Time) {
	e := x.At(s)
	number := x.owners.acquire(owner)
	x.owners.release(e.owner)
	e.owner, e.until = number, nano(until)
	x.moved(s, e)
}

// LeasedBy reports whether owner was the last to lease the entry. A lease that
// has ended counts too, until another owner claims the message.
func (x *Index[T]) LeasedBy(s Slot, owner string) bool {
	e := x.At(s)
	return owner != "" && e.owner != 0 && x.owners.key(e.owner) == owner
}

// Schedule returns the schedule of the entry. Volatile is not stored.
func (x *Index[T]) Schedule(s Slot) queue.Schedule {
	e := x.At(s)
	sch := queue.Schedule{Due: Time(e.due), Wait: time.Duration(e.wait), Hop: x.hops.key(e.hop)}
	if e.owner != 0 {
		sch.Owner, sch.Until = x.owners.key(e.owner), Time(e.until)
	}
	return sch
}

// Priority returns the priority of the message.
func (x *Index[T]) Priority(s Slot) int { return priorityOf(x.At(s).level) }

// ID returns the ID of the message.
func (x *Index[T]) ID(s Slot) string {
	e := x.At(s)
	if e.idLen > inlineID {
		return x.long[s]
	}
	return string(e.id[:e.idLen])
}

// nano returns t in Unix nanoseconds, 0 for the zero time. A time that 64 bits
// cannot represent (before 1678 or after 2261) becomes the nearest one that they
// can.
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

// Nano returns t as an entry stores it: Unix nanoseconds, 0 for the zero time.
// Time is the inverse.
func Nano(t time.Time) int64 { return nano(t) }

// Time returns the time for Unix nanoseconds, the zero time for 0.
func Time(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
