package index

import (
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A list of slots is in the order of their IDs. Lists are used for look-ups and for
// listing. A list takes about six bytes per message.

// compare compares the ID of a slot with id.
func (x *Index[T]) compare(s Slot, id string) int {
	e := x.At(s)
	if e.idLen > inlineID {
		return strings.Compare(x.long[s], id)
	}
	own := e.id[:e.idLen]
	switch {
	case string(own) < id: // these comparisons do not allocate
		return -1
	case string(own) > id:
		return 1
	}
	return 0
}

// compareSlots compares the IDs of two slots.
func (x *Index[T]) compareSlots(a, b Slot) int {
	if e := x.At(b); e.idLen <= inlineID {
		return x.compare(a, string(e.id[:e.idLen])) // does not allocate
	}
	return x.compare(a, x.long[b])
}

// position returns where a slot is or belongs in a list: position i in block b.
func (x *Index[T]) position(l *blocks[Slot], s Slot) (b, i int) {
	if e := x.At(s); e.idLen <= inlineID {
		b, i, _ = x.searchIn(l, string(e.id[:e.idLen])) // does not allocate
	} else {
		b, i, _ = x.searchIn(l, x.long[s])
	}
	return b, i
}

// insert adds a slot to a list.
func (x *Index[T]) insert(l *blocks[Slot], s Slot) {
	b, i := x.position(l, s)
	x.insertAt(l, b, i, s)
}

func (x *Index[T]) insertAt(l *blocks[Slot], b, i int, s Slot) {
	if b < len(l.list) {
		e := x.At(s)
		l.list[b].ranges.include(e.Received, e.Size)
	}
	l.insert(b, i, s)
}

// remove removes a slot from a list.
func (x *Index[T]) remove(l *blocks[Slot], s Slot) {
	b, i := x.position(l, s)
	l.list[b].ranges.exclude(x.At(s).Received)
	l.remove(b, i)
}

// search returns where an ID is or belongs in the list of all messages.
func (x *Index[T]) search(id string) (b, i int, found bool) { return x.searchIn(&x.ids, id) }

// searchIn returns where an ID is or belongs: position i in block b.
func (x *Index[T]) searchIn(l *blocks[Slot], id string) (b, i int, found bool) {
	list := l.list
	if len(list) == 0 {
		return 0, 0, false
	}
	last := list[len(list)-1].items
	if x.compare(last[len(last)-1], id) < 0 { // a new ID usually is the greatest
		return len(list) - 1, len(last), false
	}
	// Find the last block that begins with an ID not greater than id, or else
	// the first block.
	low, high := 0, len(list)
	for high-low > 1 {
		mid := (low + high) / 2
		if x.compare(list[mid].items[0], id) <= 0 {
			low = mid
		} else {
			high = mid
		}
	}
	b = low
	items := list[b].items
	low, high = 0, len(items)
	for low < high {
		mid := (low + high) / 2
		c := x.compare(items[mid], id)
		if c == 0 {
			return b, mid, true
		}
		if c < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return b, low, false
}

// after returns a cursor at the first element after an ID.
func (x *Index[T]) after(l *blocks[Slot], id string) cursor[Slot] {
	b, i, found := x.searchIn(l, id)
	if found {
		i++
	}
	return cursor[Slot]{l, b, i}
}

// Find returns the slot of an ID, whether it was shown or not.
func (x *Index[T]) Find(id string) (Slot, bool) {
	b, i, found := x.search(id)
	if !found {
		return 0, false
	}
	return x.ids.list[b].items[i], true
}

// After returns up to n slots of shown messages whose IDs are greater than
// id, in order.
func (x *Index[T]) After(id string, n int) []Slot {
	var page []Slot
	for c := x.after(&x.ids, id); len(page) < n && c.ok(); c.i++ {
		if s := c.at(); !x.At(s).hidden {
			page = append(page, s)
		}
	}
	return page
}

// pageMost is the maximum number of slots of a page, so that the store does not
// lock for long.
const pageMost = 256

// Page returns some of the messages that q selects. more is Query.After for the
// next page, empty if this is the last page. It looks only at messages that q selects.
func (x *Index[T]) Page(q queue.Query) (page []*queue.Entry, more string) {
	var slots []Slot
	if q.Hop == nil {
		slots = x.After(q.After, pageMost)
	} else {
		slots = x.afterOf(append([]queue.NextHop{*q.Hop}, q.Also...), q.After, pageMost)
	}
	for _, s := range slots {
		page = append(page, x.entry(s))
	}
	if len(slots) == pageMost {
		more = x.ID(slots[pageMost-1])
	}
	return page, more
}

// entry returns the facts about a message.
func (x *Index[T]) entry(s Slot) *queue.Entry {
	e := x.At(s)
	return &queue.Entry{
		ID: x.ID(s), Schedule: x.Schedule(s), Size: e.Size,
		Received: Time(e.Received), Priority: x.Priority(s), Attempted: e.attempted,
	}
}

// afterOf is After for the messages that wait for one of the hops.
func (x *Index[T]) afterOf(hops []queue.NextHop, id string, n int) (page []Slot) {
	m := x.mergeHops(hops, id)
	for s := m.slot(); s != 0 && len(page) < n; s = m.slot() {
		page = append(page, s)
		m.next()
	}
	return page
}

// A merge yields the slots of some lists in the order of their IDs.
type merge[T any] struct {
	index *Index[T]
	lists []cursor[Slot]
	first int // the list with the next slot; -1 if it must be found
}

// mergeHops returns the messages of some hops after an ID.
func (x *Index[T]) mergeHops(hops []queue.NextHop, id string) *merge[T] {
	m := &merge[T]{index: x, first: -1}
	for k, hop := range hops {
		if number := x.hops.find(hop); number != 0 && !slices.Contains(hops[:k], hop) {
			m.lists = append(m.lists, x.after(&x.hops.extra(number).ids, id))
		}
	}
	return m
}

// slot returns the next slot, 0 at the end.
func (m *merge[T]) slot() Slot {
	if m.first < 0 {
		m.find()
	}
	if m.first < 0 {
		return 0
	}
	return m.lists[m.first].at()
}

// next moves to the next slot.
func (m *merge[T]) next() {
	m.lists[m.first].i++
	m.first = -1
}

func (m *merge[T]) find() {
	for k := range m.lists {
		c := &m.lists[k]
		if c.ok() && (m.first < 0 || m.index.compareSlots(c.at(), m.lists[m.first].at()) < 0) {
			m.first = k
		}
	}
}
