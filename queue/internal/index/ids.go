package index

import (
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// blocks are slots in the order of their IDs, in blocks of bounded length: a
// sorted array cut into pieces, so that an insertion moves only one of them.
// It is the index's map and its order in one, at about six bytes a message.
type blocks struct{ list [][]Slot }

const (
	blockMax = 512 // a full block is split
	blockMin = 64  // a block that falls below joins a neighbour
)

// compare orders a slot's ID and another one.
func (x *Index[T]) compare(s Slot, id string) int {
	e := x.At(s)
	if e.idLen > inlineID {
		return strings.Compare(x.long[s], id)
	}
	own := e.id[:e.idLen]
	switch {
	case string(own) < id: // neither comparison makes a string
		return -1
	case string(own) > id:
		return 1
	}
	return 0
}

// search finds the place of an ID: block b, position i.
func (x *Index[T]) search(id string) (b, i int, found bool) {
	list := x.ids.list
	if len(list) == 0 {
		return 0, 0, false
	}
	// The last block that begins with an ID not greater than id, or the first.
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
	// IDs mostly ascend: then the left part stays full and the new block
	// begins with the newest.
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

// Find is the slot of an ID, shown or not.
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

// Page lists some of the messages that q selects. more is where the next page
// begins (Query.After), empty when this was the last.
func (x *Index[T]) Page(q queue.Query) (page []*queue.Entry, more string) {
	const looked = 256 // slots at a time, so that the store's lock is never held long
	slots := x.After(q.After, looked)
	for _, s := range slots {
		e := x.At(s)
		if q.Hop != nil && x.hops.key(e.hop) != *q.Hop {
			continue
		}
		page = append(page, &queue.Entry{
			ID: x.ID(s), Schedule: x.Schedule(s), Size: e.Size,
			Received: Time(e.Received), Priority: x.Priority(s),
		})
	}
	if len(slots) == looked {
		more = x.ID(slots[looked-1])
	}
	return page, more
}
