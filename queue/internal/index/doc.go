// Package index is the in-memory index of an embedded store. For each message
// it has the ID, the due time, the next hop, and the lease. It implements Claim
// and Next of queue.Store. They do not look at messages that cannot be claimed,
// however many of them wait.
//
// Each message has an entry in a slab, an array of blocks that never move. The
// number of the entry is the message's Slot. Entries have no pointers, so the
// garbage collector does not scan them. There are two orders of the entries:
// sorted lists of IDs, of all messages and of those of each hop (ids.go), and for
// each hop and priority a heap that is
// ordered by due time, the lane (lanes.go). A lease works like a later due time:
// a leased message can be claimed again when its lease ends.
//
// An Index is not safe for concurrent use. The store guards it with a lock.
package index
