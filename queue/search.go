package queue

import (
	"context"
	"iter"
	"time"
)

// A Searcher is a Store that finds messages by their addresses and their status,
// at a cost that depends on what it finds and not on what is stored. The Queue uses
// it for [Queue.Messages], [Queue.Search], [Queue.Count] and [Queue.Shape]. Without
// it, the Queue lists all messages and reads those that may match.
//
// The addresses of a message are its sender and the recipients that wait. If none
// waits (for example, in bad mail), they are the sender and all recipients.
// Addresses are equal if strings.ToLower makes them equal.
type Searcher interface {
	// Search iterates over the stored messages that s selects, in the order of
	// their IDs, after s.After. Like List, it is not a snapshot. It sets
	// Entry.Attempted.
	//
	// Search may keep only a hash of each address. So it may include a message
	// that does not have an address of s, but rarely: about one in 2^32. A
	// stranger chooses addresses, so the hash must have a secret seed. The
	// caller checks the addresses.
	Search(ctx context.Context, s Search) iter.Seq2[*Entry, error]

	// CountMatches returns the number of messages that Search would return.
	CountMatches(ctx context.Context, s Search) (int, error)

	// AgesByDomain counts by domain and age, as q says. It returns a row for
	// each of the q.Most domains with the highest counts, in this order, and the
	// sum of all other domains as rest.
	AgesByDomain(ctx context.Context, q AgeQuery) (rows []ShapeRow, rest ShapeRow, err error)
}

// A Search selects stored messages. A zero field selects all messages.
type Search struct {
	Query
	// ID selects one message.
	ID string
	// From is the address of the sender; "<>" is the null reverse-path.
	// Recipient is the address of one recipient. They are not patterns.
	From, Recipient string
	// Status selects messages by Entry.Status at the time Wall.
	Status MessageStatus
	Wall   time.Time

	MinSize, MaxSize int64     // in bytes, inclusive
	Since, Before    time.Time // Since <= Received < Before
}

// Status returns the status of a stored message that is not active, as far as its
// entry shows. wall is the time of the system's clock.
func (e *Entry) Status(wall time.Time) MessageStatus {
	switch s := &e.Schedule; {
	case s.Hop == suspendedHop:
		return MessageSuspended
	case s.Hop == poisonHop:
		return MessagePoison
	case s.Hop == badMailHop:
		return MessageBad
	case s.Hop == finalHop:
		return MessageResults
	case e.Attempted:
		return MessageRetry
	case s.Wait <= 0 && s.Due.After(wall):
		return MessageHeld
	}
	return MessageReady
}

// An AgeQuery selects what AgesByDomain counts.
type AgeQuery struct {
	// Sender counts messages by the domain of their sender. Otherwise,
	// recipients are counted by their domain.
	Sender bool
	Hop    *NextHop  // if not nil, only messages that wait for this hop
	Except []NextHop // hops whose messages are not counted
	// Bounds separate the ages: times of receipt, the newest first.
	// ShapeRow.Ages[0] counts the messages received at Bounds[0] or later.
	// ShapeRow.Ages[i] counts those received before Bounds[i-1], and at Bounds[i]
	// or later. ShapeRow.Ages has one element more than Bounds, for the messages
	// that are older than all of them.
	Bounds []time.Time
	Most   int // maximum number of rows
}
