package index

import (
	"slices"
	"sync"
)

// Load tells the index that many messages are added before Open. Until then, only the
// list of all messages is kept, and Claim, Next, Page and searches must not be called.
// Open builds the other lists: this is faster than to keep them for each message.
func (x *Index[T]) Load() { x.loading = true }

// buildLists builds the lists that were not kept.
func (x *Index[T]) buildLists() {
	x.loading = false
	shown := x.After("", x.count)
	var byState [states][]Slot
	// A key is a hash, and the rank of a message in the order of the IDs.
	senders, recipients := make([]uint64, 0, len(shown)), make([]uint64, 0, len(shown))
	for rank, s := range shown {
		e := x.At(s)
		h := x.hops.extra(e.hop)
		h.ids.append(s)
		x.addToLane(h, s, e)
		if e.state = x.stateOf(e); e.state != noState {
			byState[e.state] = append(byState[e.state], s)
		}
		if e.state == retry {
			h.retry++
		}
		senders = append(senders, uint64(e.from.address)<<32|uint64(rank))
		all, rs := x.noneWaits(s), x.recipients(s)
		for i := range rs {
			if all || !rs[i].ended {
				recipients = append(recipients, uint64(rs[i].address)<<32|uint64(rank))
			}
		}
	}
	x.reorder()
	for n := range byState {
		x.byState[n] = build(byState[n])
	}
	var wg sync.WaitGroup
	wg.Go(func() { x.bySender = buildPostings(senders, shown) })
	wg.Go(func() { x.byRecipient = buildPostings(recipients, shown) })
	wg.Wait()
}

// buildPostings returns the postings for keys. shown has the slots by rank.
func buildPostings(keys []uint64, shown []Slot) blocks[posting] {
	slices.Sort(keys)
	postings := make([]posting, len(keys))
	for i, k := range keys {
		postings[i] = posting{uint32(k >> 32), shown[uint32(k)]}
	}
	return build(postings)
}
