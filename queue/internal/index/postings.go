package index

import "math"

// A posting says that the message of a slot has an address with this hash. Postings
// are in the order of their hashes, and those of one hash in the order of the IDs.
type posting struct {
	hash uint32
	slot Slot
}

// firstPosting returns a cursor at the first posting of hash whose ID is not less
// than id.
func (x *Index[T]) firstPosting(l *blocks[posting], hash uint32, id string) cursor[posting] {
	less := func(p posting) bool {
		return p.hash < hash || p.hash == hash && x.compare(p.slot, id) < 0
	}
	low, high := 0, len(l.list)
	for high-low > 1 {
		mid := (low + high) / 2
		if less(l.list[mid].items[0]) {
			low = mid
		} else {
			high = mid
		}
	}
	c := cursor[posting]{l, low, 0}
	if low == len(l.list) {
		return c
	}
	items := l.list[low].items
	low, high = 0, len(items)
	for low < high {
		mid := (low + high) / 2
		if less(items[mid]) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	c.i = low
	return c
}

// postingsOf returns the number of postings of a hash.
func (x *Index[T]) postingsOf(l *blocks[posting], hash uint32) int {
	first, end := x.firstPosting(l, hash, ""), cursor[posting]{blocks: l, b: len(l.list)}
	if hash < math.MaxUint32 {
		end = x.firstPosting(l, hash+1, "")
	}
	return first.until(&end)
}

// post adds a posting.
func (x *Index[T]) post(l *blocks[posting], hash uint32, s Slot) {
	c := x.ofSlot(l, hash, s)
	l.insert(c.b, c.i, posting{hash, s})
}

// unpost removes a posting.
func (x *Index[T]) unpost(l *blocks[posting], hash uint32, s Slot) {
	if c := x.ofSlot(l, hash, s); c.ok() && c.at() == (posting{hash, s}) {
		l.remove(c.b, c.i)
	}
}

// ofSlot returns a cursor at the first posting of a hash and a slot, or where it
// belongs.
func (x *Index[T]) ofSlot(l *blocks[posting], hash uint32, s Slot) cursor[posting] {
	if e := x.At(s); e.idLen <= inlineID {
		return x.firstPosting(l, hash, string(e.id[:e.idLen]))
	}
	return x.firstPosting(l, hash, x.long[s])
}
