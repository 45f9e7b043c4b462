// Package index is the in-memory index of an embedded store. For each message
// it has the ID, the due time, the next hop, and the lease. It implements Claim
// and Next of queue.Store. They do not look at messages that cannot be claimed,
// however many of them wait. It also implements queue.Searcher, Hops and List.
//
// Each message has an entry in a slab, an array of blocks that never move. The
// number of the entry is the message's Slot. Entries have no pointers, so the
// garbage collector does not scan them. There are these orders of the entries:
//
//   - for each hop and priority a heap that is ordered by due time, the lane
//     (lanes.go). A lease works like a later due time: a leased message can be
//     claimed again when its lease ends.
//   - lists in the order of the IDs: of all messages, of those of each hop (ids.go),
//     and of each status that the hop does not show (states.go). A list also knows
//     the times of receipt and the sizes of its parts (ranges.go).
//   - for senders and for recipients, the hashes of their addresses (addresses.go,
//     postings.go), each with its messages in the order of the IDs.
//
// A search (search.go) uses the shortest list that has all messages that it selects.
//
// An Index is not safe for concurrent use. The store guards it with a lock.
package index
