package index

import (
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// blocks has the slots in the order of their IDs. It is a sorted array in blocks
// of limited length, so that an insertion moves only the slots of one block. It
// is used for look-ups and for listing, and takes about six bytes per message.
type blocks struct{ list [][]Slot }

const (
	blockMax = 512 // a full block is split
	blockMin = 64  // a shorter block is joined with the next one
)

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

// position returns where a slot is or belongs in a list that is ordered by ID: position
// i in block b. It returns the slot too, for insert.
func (x *Index[T]) position(l *blocks, s Slot, e *Entry[T]) (b, i int, _ Slot) {
	if e.idLen > inlineID {
		b, i, _ = x.searchIn(l, x.long[s])
	} else {
		b, i, _ = x.searchIn(l, string(e.id[:e.idLen])) // does not allocate
	}
	return b, i, s
}

// search returns where an ID is or belongs in the list of all messages.
func (x *Index[T]) search(id string) (b, i int, found bool) { return x.searchIn(&x.ids, id) }

// searchIn returns where an ID is or belongs: position i in block b.
func (x *Index[T]) searchIn(l *blocks, id string) (b, i int, found bool) {
	list := l.list
	if len(list) == 0 {
		return 0, 0, false
	}
	// Find the last block that begins with an ID not greater than id, or else
	// the first block.
	low, high := 0, len(list)
	for high-low > 1 {
		mid := (low + high) / 2
		if x.compare(list[mid][0], id) <= 0 {
			low = mid
		} else {
			high = mid
		}
	}
	b = low
	block := list[b]
	low, high = 0, len(block)
	for low < high {
		mid := (low + high) / 2
		c := x.compare(block[mid], id)
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

func (l *blocks) insert(b, i int, s Slot) {
	if len(l.list) == 0 {
		l.list = append(l.list, []Slot{s})
		return
	}
	block := slices.Insert(l.list[b], i, s)
	l.list[b] = block
	if len(block) < blockMax {
		return
	}
	// Usually a new ID is the greatest. Then the left part stays full, and the
	// new block begins with the new ID.
	cut := len(block) / 2
	if b == len(l.list)-1 && i == len(block)-1 {
		cut = len(block) - 1
	}
	right := slices.Clone(block[cut:])
	l.list[b] = slices.Clip(block[:cut])
	l.list = slices.Insert(l.list, b+1, right)
}

func (l *blocks) remove(b, i int) {
	block := slices.Delete(l.list[b], i, i+1)
	l.list[b] = block
	switch {
	case len(block) == 0:
		l.list = slices.Delete(l.list, b, b+1)
	case len(block) < blockMin && b+1 < len(l.list) && len(block)+len(l.list[b+1]) < blockMax/2:
		l.list[b] = append(block, l.list[b+1]...)
		l.list = slices.Delete(l.list, b+1, b+2)
	}
}

// Find returns the slot of an ID, whether it was shown or not.
func (x *Index[T]) Find(id string) (Slot, bool) {
	b, i, found := x.search(id)
	if !found {
		return 0, false
	}
	return x.ids.list[b][i], true
}

// After returns up to n slots of shown messages whose IDs are greater than
// id, in order.
func (x *Index[T]) After(id string, n int) []Slot {
	b, i, found := x.search(id)
	if found {
		i++
	}
	var page []Slot
	for ; b < len(x.ids.list); b, i = b+1, 0 {
		for _, s := range x.ids.list[b][i:] {
			if len(page) == n {
				return page
			}
			if !x.At(s).hidden {
				page = append(page, s)
			}
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
		e := x.At(s)
		page = append(page, &queue.Entry{
			ID: x.ID(s), Schedule: x.Schedule(s), Size: e.Size,
			Received: Time(e.Received), Priority: x.Priority(s),
		})
	}
	if len(slots) == pageMost {
		more = x.ID(slots[pageMost-1])
	}
	return page, more
}

// A cursor is a position in a list that is ordered by ID.
type cursor struct {
	list [][]Slot
	b, i int
}

// slot returns the slot at the cursor, 0 at the end of the list.
func (c *cursor) slot() Slot {
	for c.b < len(c.list) && c.i == len(c.list[c.b]) {
		c.b, c.i = c.b+1, 0
	}
	if c.b == len(c.list) {
		return 0
	}
	return c.list[c.b][c.i]
}

// afterOf is After for the messages that wait for one of the hops.
func (x *Index[T]) afterOf(hops []queue.NextHop, id string, n int) []Slot {
	var lists []cursor
	for k, hop := range hops {
		number := x.hops.find(hop)
		if number == 0 || slices.Contains(hops[:k], hop) {
			continue
		}
		l := &x.hops.extra(number).ids
		b, i, found := x.searchIn(l, id)
		if found {
			i++
		}
		lists = append(lists, cursor{l.list, b, i})
	}
	var page []Slot
	for len(page) < n {
		var first Slot
		var from *cursor
		for k := range lists {
			if s := lists[k].slot(); s != 0 && (first == 0 || x.compare(s, x.ID(first)) < 0) {
				first, from = s, &lists[k]
			}
		}
		if first == 0 {
			break
		}
		page = append(page, first)
		from.i++
	}
	return page
}
