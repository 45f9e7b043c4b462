package index

// ages are the times of receipt of the oldest and of the newest message of a block
// of slots. They are computed when they are needed and not known.
type ages struct {
	oldest, newest int64
	known          bool
}

// include notes that a message was added.
func (a *ages) include(received int64) {
	if a.known {
		a.oldest, a.newest = min(a.oldest, received), max(a.newest, received)
	}
}

// exclude notes that a message was removed.
func (a *ages) exclude(received int64) {
	if received <= a.oldest || received >= a.newest {
		a.known = false
	}
}

// agesOf returns the ages of block b. The cost of computing them is that of looking
// at each message of the block. A block that mail passes through in order is computed
// once for each look, the others only once.
func (x *Index[T]) agesOf(l *blocks[Slot], b int) ages {
	block := &l.list[b]
	if !block.ages.known {
		first := x.At(block.items[0]).Received
		block.ages = ages{first, first, true}
		for _, s := range block.items[1:] {
			block.ages.include(x.At(s).Received)
		}
	}
	return block.ages
}

// oldest returns when the oldest message of a list was received.
func (x *Index[T]) oldest(l *blocks[Slot]) int64 {
	first := x.agesOf(l, 0).oldest
	for b := range l.list {
		first = min(first, x.agesOf(l, b).oldest)
	}
	return first
}
