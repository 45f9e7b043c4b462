package index

import "slices"

// blocks is a sorted array in blocks of limited length, so that an insertion moves
// only the elements of one block. The functions that search it know its order.
type blocks[E any] struct {
	list []block[E]
	n    int // the number of elements
}

type block[E any] struct {
	items  []E
	ranges ranges // of a list of slots
}

const (
	blockMax = 512 // a full block is split
	blockMin = 64  // a shorter block is joined with the next one
)

// insert inserts an element at position i of block b.
func (l *blocks[E]) insert(b, i int, e E) {
	l.n++
	if len(l.list) == 0 {
		l.list = append(l.list, block[E]{items: []E{e}})
		return
	}
	items := slices.Insert(l.list[b].items, i, e)
	l.list[b].items = items
	if len(items) < blockMax {
		return
	}
	// Usually a new ID is the greatest. Then the left part stays full, and the
	// new block begins with the new ID.
	cut := len(items) / 2
	if b == len(l.list)-1 && i == len(items)-1 {
		cut = len(items) - 1
	}
	right := slices.Clone(items[cut:])
	l.list[b] = block[E]{items: slices.Clip(items[:cut])}
	l.list = slices.Insert(l.list, b+1, block[E]{items: right})
}

// append adds an element at the end.
func (l *blocks[E]) append(e E) {
	b, i := 0, 0
	if n := len(l.list); n > 0 {
		b, i = n-1, len(l.list[n-1].items)
	}
	l.insert(b, i, e)
}

// remove removes the element at position i of block b.
func (l *blocks[E]) remove(b, i int) {
	l.n--
	items := slices.Delete(l.list[b].items, i, i+1)
	l.list[b].items = items
	switch {
	case len(items) == 0:
		l.list = slices.Delete(l.list, b, b+1)
	case len(items) < blockMin && b+1 < len(l.list) && len(items)+len(l.list[b+1].items) < blockMax/2:
		l.list[b] = block[E]{items: append(items, l.list[b+1].items...)}
		l.list = slices.Delete(l.list, b+1, b+2)
	}
}

// build returns blocks with the elements of a sorted array.
func build[E any](sorted []E) (l blocks[E]) {
	const part = blockMax * 3 / 4 // leaves room for insertions
	l.n = len(sorted)
	for chunk := range slices.Chunk(sorted, part) {
		l.list = append(l.list, block[E]{items: slices.Clone(chunk)})
	}
	return l
}

// A cursor is a position in blocks.
type cursor[E any] struct {
	*blocks[E]
	b, i int
}

// ok reports whether the cursor is at an element. At the end of a block, it moves
// to the next one.
func (c *cursor[E]) ok() bool {
	for c.b < len(c.list) && c.i == len(c.list[c.b].items) {
		c.b, c.i = c.b+1, 0
	}
	return c.b < len(c.list)
}

// at returns the element at the cursor.
func (c *cursor[E]) at() E { return c.list[c.b].items[c.i] }

// until returns the number of elements from c to d, which is not before c.
func (c *cursor[E]) until(d *cursor[E]) (n int) {
	for b := c.b; b < d.b; b++ {
		n += len(c.list[b].items)
	}
	return n - c.i + d.i
}
