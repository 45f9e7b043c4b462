// Package index is what an embedded store keeps in memory of its messages:
// who they are, when they are due, for which hop they wait and in whose hand
// they are. It answers Claim and Next by the rules of queue.Store without
// looking at messages that are not meant, however many wait.
//
// A message takes one entry of a slab (no pointers, so that a million of them
// cost the garbage collector nothing) and is known by its Slot. Two orders lie
// over the slab: the sorted IDs (ids.go), and for each hop and priority a heap
// by due time, a lane (lanes.go). A lease is only another due time: a leased
// message is ready again when its lease ends.
//
// An Index is not safe for concurrent use; its store's lock guards it.
package index
