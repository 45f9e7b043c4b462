package queue

import (
	"context"
	"errors"
	"iter"
	"time"
)

// A Store keeps messages from the moment they are accepted until their last
// recipient has ended. The package queuetest tests an implementation against
// the rules of this interface.
//
// All methods are safe for concurrent use. A queue leases a message before it
// works on it. No other queue can claim the message until the lease is released
// or expires. A lease expires if its owner does not renew it in time, for
// example because the owner has died. A store that only one process can open
// treats every lease that it finds on opening as expired.
type Store interface {
	// Put stores a new message. When it returns nil, envelope and content are
	// on stable storage: they survive kill -9 and power loss. After an error
	// the message will not be delivered, with one exception: the disk failed,
	// and the process dies before the disk works again. Then the message may be
	// in the store after the restart. Put returns ErrExists if the ID is in the
	// store already, and ErrFull if the store has no room.
	//
	// Put may keep m.Content to avoid a copy, so bytes in memory ([Bytes],
	// [String]) must not change afterwards. It does not keep m. If m.Content
	// is of another kind (for example, it reads a file), Put replaces it with
	// an equal Content that does not need the old one. When Put has returned
	// nil, the caller may close the file. If s.Owner is set, the message is
	// leased: its owner delivers it from m, and Claim does not return it while
	// the lease lasts.
	Put(ctx context.Context, m *Message, s Schedule) error

	// Claim leases messages that are due and not leased, and returns them with
	// recipients and content. The order is by priority, highest first, and
	// then by due time, earliest first. If there is no such message, Claim
	// returns no messages and no error.
	//
	// Content is read from the store when it is used. It can be read while
	// the message is leased; after that, reading may fail with ErrNotFound.
	// Content never returns wrong bytes: ReadAt and WriteTo return ErrDamaged
	// when they find damage. WriteTo may find it only at the end. If an
	// envelope cannot be read, the store removes the message from the queue,
	// keeps a copy of its bytes outside the queue, and logs the damage. Claim
	// continues with the next message.
	Claim(ctx context.Context, c Claim) ([]*Message, error)

	// Next returns the earliest time at which Claim would find a message for
	// the same c. It is a time of the clock of c.Now. Next returns the zero
	// time if no message waits.
	Next(ctx context.Context, c Claim) (time.Time, error)

	// Renew extends owner's leases on the messages to until. It returns the
	// IDs of the messages that owner no longer leases.
	Renew(ctx context.Context, owner string, until time.Time, ids ...string) (lost []string, err error)

	// Update records m.Recipients, m.Interrupted and the schedule s. Usually
	// only the states of the recipients have changed. After a redirection
	// their addresses, routes, options or number may have changed too.
	// Envelope and content do not change.
	//
	// owner must hold the lease. An expired lease is valid until another
	// owner claims the message. Otherwise Update records nothing and returns
	// ErrLeaseLost. Update releases the lease unless s.Owner is set.
	//
	// Update and Remove may return before the record is on stable storage. The
	// record is there at most 100 ms later. An error (ErrFull, ErrReadOnly,
	// I/O) means that the store can record nothing now, and has not recorded
	// this call. The caller must then stop delivering. Otherwise it could
	// deliver messages twice. When Sync returns nil, the caller may continue,
	// and must first repeat the call.
	Update(ctx context.Context, owner string, m *Message, s Schedule) error

	// Remove removes a message: Claim does not return it again. The rules for
	// the lease and for errors are those of Update. Remove returns ErrNotFound
	// if the message is not in the store.
	Remove(ctx context.Context, owner, id string) error

	// Sync returns when everything that was recorded is on stable storage. An
	// error means that the store cannot record now. nil means that it can
	// record.
	Sync(ctx context.Context) error

	// Get returns one message, leased or not, without leasing it. It returns
	// ErrNotFound if the message is not in the store.
	Get(ctx context.Context, id string) (*Message, error)

	// List iterates over the stored messages that match q, in the order of
	// their IDs, after q.After. It is not a snapshot: it may include or omit
	// messages that are stored or removed during the iteration.
	List(ctx context.Context, q Query) iter.Seq2[*Entry, error]

	// Hops returns totals of the stored messages, leased or not, for each hop
	// that they wait for. It does not read the messages. The order is
	// undefined.
	Hops(ctx context.Context) ([]HopSum, error)

	// Close makes everything that was recorded durable and releases all
	// leases. Calls after Close return ErrClosed.
	Close() error
}

// A DeliveryJournal is a Store that records which messages are in delivery. If
// the process dies, the journal contains the messages that may have caused
// that. The Queue uses it to detect poison messages ([Limits].Interrupted).
//
// A queue calls Begin before each operation on a message that might crash the
// process (routing or delivery), and End after it. Both are cheap (no system
// call, no sync) and cannot fail. If the process dies between Begin and End,
// Claim and Get return the message with Message.Interrupted one higher.
type DeliveryJournal interface {
	Begin(id string)
	End(id string)
}

// A RecipientUpdater is a Store that can record new states of some recipients at
// a cost that does not depend on the number of the others. The Queue uses it
// while a message with several next hops is in delivery. Without it, the end of
// each delivery records all recipients, and the cost grows with the square of
// their number.
type RecipientUpdater interface {
	// UpdateRecipients is like Update, but it needs to record only some
	// recipients: those whose indexes in m.Recipients are in changed. The
	// others, and the number of recipients, are as in the store.
	// UpdateRecipients must not keep m or changed.
	UpdateRecipients(ctx context.Context, owner string, m *Message, changed []int, s Schedule) error
}

// A CloseNotifier is a Store that reports that it was closed. Queue.Run then ends
// at once. Without it, Run ends when a call of the Store returns ErrClosed.
type CloseNotifier interface {
	// Closed returns a channel that is closed when Close is called. It is
	// always the same channel.
	Closed() <-chan struct{}
}

// A Schedule has the due time and the lease of a message.
type Schedule struct {
	// Due is when the message may be claimed. The zero time means at once.
	Due time.Time
	// Wait is the length of the wait for a retry. If it is positive, the wait
	// ends at Due, and Due is a time of the clock of Claim.Now. If it is zero,
	// the message waits for another reason, for example for its Release. Due is
	// then a time of the wall clock, Claim.Wall.
	//
	// When a store is opened again, the message must not wait longer than Wait.
	// At the first claim, the store computes when the wait began: Due minus
	// Wait. If this is more than a minute in the future, the clock was set back
	// in the meantime, and the message is due.
	Wait time.Duration
	// Hop is the next hop that the message waits for. It is zero if the hop is
	// not known or if the recipients wait for several hops.
	Hop NextHop
	// Owner and Until are the lease. An empty Owner means no lease.
	Owner string
	Until time.Time
	// Volatile means that the store may lose this schedule at a restart. The
	// message is then due at once. The store must still keep the states of the
	// recipients.
	Volatile bool
}

// A Claim selects the messages to lease and has the terms of the lease.
type Claim struct {
	Owner string
	Until time.Time // end of the lease, by the clock of Now
	// Now is the time for leases and waits. When the system's clock is set, the
	// clock that a Queue uses for Now does not jump. Wall is the time of the
	// system's clock. It is used for a message that has a Schedule.Due but no
	// Schedule.Wait. If Wall is zero, Now is used instead.
	Now, Wall time.Time
	Max       int // maximum number of messages; 0 means 1
	// ID selects one message, for an operation on it. The message is returned
	// even if it is not due, and Only and Except are ignored. It is not
	// returned if another owner has leased it.
	ID string
	// Only selects messages that wait for this hop.
	Only *NextHop
	// LeastUrgent reverses the order of priorities. A queue sets it from time
	// to time so that messages of low priority get a share.
	LeastUrgent bool
	// Except excludes messages that wait for these hops.
	Except map[NextHop]bool
}

// A Query selects stored messages.
type Query struct {
	After string    // only IDs greater than this one
	Hop   *NextHop  // if not nil, only messages that wait for this hop
	Also  []NextHop // or, if Hop is not nil, for one of these
}

// An Entry has the facts about a message that a store can return without
// reading the message.
type Entry struct {
	ID       string
	Schedule Schedule
	Size     int64
	Received time.Time
	Priority int
}

// A HopSum has totals of the messages that wait for one hop.
type HopSum struct {
	Hop   NextHop
	Count int       // messages, leased ones included
	Bytes int64     // the size of their content
	Due   time.Time // when the next of them is due or its lease expires, by the clock of Claim.Now
}

// Errors of a Store. Use errors.Is to test for them.
var (
	ErrExists    = errors.New("queue: a message with this ID is stored already")
	ErrNotFound  = errors.New("queue: no such message")
	ErrDamaged   = errors.New("queue: the stored message is damaged")
	ErrLeaseLost = errors.New("queue: the lease on the message is lost")
	ErrFull      = errors.New("queue: no room to store")
	ErrReadOnly  = errors.New("queue: the store cannot be written")
	ErrClosed    = errors.New("queue: closed")
)
