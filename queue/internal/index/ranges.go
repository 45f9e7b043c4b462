package index

// ranges are the least and the greatest time of receipt and size of the messages of a
// block of slots. They are computed when they are needed and not known.
type ranges struct {
	oldest, newest    int64
	smallest, largest int64
	known             bool
}

// include notes that a message was added.
func (r *ranges) include(received, size int64) {
	if r.known {
		r.oldest, r.newest = min(r.oldest, received), max(r.newest, received)
		r.smallest, r.largest = min(r.smallest, size), max(r.largest, size)
	}
}

// exclude notes that a message was removed. The sizes may then be too wide.
func (r *ranges) exclude(received int64) {
	if received <= r.oldest || received >= r.newest {
		r.known = false
	}
}

// rangesOf returns the ranges of block b. The cost of computing them is that of looking
// at each message of the block. A block that mail passes through in order is computed
// once for each look, the others only once.
func (x *Index[T]) rangesOf(l *blocks[Slot], b int) *ranges {
	block := &l.list[b]
	if !block.ranges.known {
		first := x.At(block.items[0])
		block.ranges = ranges{first.Received, first.Received, first.Size, first.Size, true}
		for _, s := range block.items[1:] {
			e := x.At(s)
			block.ranges.include(e.Received, e.Size)
		}
	}
	return &block.ranges
}

// oldest returns when the oldest message of a list was received.
func (x *Index[T]) oldest(l *blocks[Slot]) int64 {
	first := x.rangesOf(l, 0).oldest
	for b := range l.list {
		first = min(first, x.rangesOf(l, b).oldest)
	}
	return first
}
