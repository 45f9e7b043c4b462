package queue

import (
	"context"
	"errors"
	"iter"
	"time"
)

// A Store keeps messages from the moment they are accepted until their last
// recipient has ended. The package queuetest tests an implementation against
// the rules of this interface. The folder examples/boltstore has a Store on a
// database in about 800 lines.
//
// A store keeps each exported field of a message, of its options and of its
// recipients as it is, with these exceptions. Result.Err is kept as text: it is
// read back as an error with the same text (nil stays nil), in which errors.Is
// need not find the causes. Times are kept as instants; the location may change. In
// texts from other hosts, such as a reply or Origin.ClientHelo, bytes that are
// not UTF-8 may be replaced. The JSON of a [Recipient] fulfills this.
//
// A store does not know the states of queues. The Queue keeps messages from being
// claimed that are suspended, poison or bad mail, or whose next hop is suspended,
// waits or has no free delivery: it names their hops in Claim.Except, or claims
// other hops with Claim.Only. For a store these hops are like all others.
//
// Methods return the error of ctx if it has ended before the call. All methods are safe for concurrent use. A queue leases a message before it
// works on it. No other queue can claim the message until the lease is released
// or expires. A lease expires if its owner does not renew it in time, for
// example because the owner has died. A store that only one process can open
// treats every lease that it finds on opening as expired.
type Store interface {
	// Put stores a new message. When it returns nil, envelope and content are
	// on stable storage: they survive kill -9 and power loss. After an error
	// the message will not be delivered, with one exception: the disk failed, or
	// the connection to the database broke at the commit, and the process ends
	// before the disk or the database works again. Then the message may be in
	// the store after the restart. Put returns ErrExists if the ID is in the
	// store already, and ErrFull if the store has no room.
	//
	// Put refuses an ID that [ValidID] refuses. It does not keep m, which the
	// caller may change afterwards. m.Content is not nil. Put may keep it if it
	// is in memory ([InMemory]): its bytes do not change, and it stays readable
	// for the caller after Remove and Close. If it is of another kind (for
	// example, it reads a file), Put replaces m.Content with an equal Content
	// that does not need the old one. When Put has returned nil, the caller may
	// close the file. If s.Owner is set, the message is leased: its owner
	// delivers it from m, and Claim does not return it while the lease lasts.
	Put(ctx context.Context, m *Message, s Schedule) error

	// Claim leases messages that are due and not leased, and returns them with
	// recipients and content. The order is by priority, highest first.
	// Priorities above 9 count as 9, and those below -9 as -9. Among messages
	// of one priority, the one comes first that can be claimed for the longest
	// time: since its due time or the end of its last lease, whichever is later.
	// The order of equal messages is undefined. If there is no such message,
	// Claim returns no messages and no error. The caller may change a message
	// that Claim or Get returned. The store does not change.
	//
	// Content is read from the store when it is used. It can be read while
	// the message is leased; after that, reading may fail with ErrNotFound.
	// Content never returns wrong bytes: ReadAt and WriteTo return ErrDamaged
	// when they find damage. WriteTo may find it only at the end. So envelopes
	// and content need a checksum, unless what is below the store has one. If an
	// envelope cannot be read, the store removes the message from the queue,
	// keeps a copy of its bytes outside the queue, and logs the damage. Claim
	// continues with the next message.
	Claim(ctx context.Context, c Claim) ([]*Message, error)

	// Next returns the earliest time at which Claim would find a message for
	// the same c: the later of its due time and the end of its lease, of any
	// owner. It is a time of the clock of c.Now. If a message can be claimed
	// now, the result is any time that is not zero and not after c.Now, also if
	// the Due of the message is zero. Next returns the zero time if no message
	// waits. Next ignores c.Owner, c.Max and c.LeastUrgent.
	Next(ctx context.Context, c Claim) (time.Time, error)

	// Renew extends owner's leases on the messages to until. A lease that has
	// expired is extended too, if no other owner has claimed the message. Renew
	// returns the IDs of the messages that owner does not lease, in the order of
	// ids. IDs that are not in the store are among them.
	Renew(ctx context.Context, owner string, until time.Time, ids ...string) (lost []string, err error)

	// Update records m.Recipients, m.Interrupted and the schedule s. Usually
	// only the states of the recipients have changed. After a redirection
	// their addresses, routes, options or number may have changed too.
	// Envelope and content do not change.
	//
	// owner must hold the lease. An expired lease is valid until another
	// owner claims the message. Otherwise Update records nothing and returns
	// ErrLeaseLost, or ErrNotFound if the message is not in the store. Update
	// releases the lease unless s.Owner is set. s.Owner then has the lease; it
	// is usually the same owner.
	//
	// Update and Remove may return before the record is on stable storage. The
	// record is there at most 100 ms later. An error (ErrFull, ErrReadOnly,
	// ErrUnavailable, I/O) means that the store can record nothing now, and has
	// not recorded this call. The caller must then stop delivering. Otherwise it
	// could deliver messages twice. When Sync returns nil, the caller may
	// continue, and must first repeat the call.
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
	// ErrNotFound if the message is not in the store, and may return ErrDamaged
	// if its envelope cannot be read.
	Get(ctx context.Context, id string) (*Message, error)

	// List iterates over the stored messages that match q, in the order of
	// their IDs, after q.After. It is not a snapshot: it may include or omit
	// messages that are stored or removed during the iteration.
	List(ctx context.Context, q Query) iter.Seq2[*Entry, error]

	// Hops returns totals of the stored messages, leased or not, for each hop
	// that they wait for. It does not read the messages. The order is
	// undefined. An empty store has no sums.
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
// Claim and Get return the message with Message.Interrupted one higher. A store
// needs memory that outlives the process for this, for example a mapped file. A
// store without it is not a DeliveryJournal. It records Message.Interrupted as any
// other field.
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

// A Walker is a Store that shows all its messages at a lower cost than List. The Queue
// uses it for [Queue.Totals].
type Walker interface {
	// Walk calls f with the entry of each stored message, in any order. It sets
	// Entry.Attempted. It need not set Entry.ID. It must set Entry.Schedule.Hop if
	// the message is in SuspendedQueue, PoisonQueue, BadMailQueue or
	// FinalResultsQueue; for a message that waits for a next hop it need not.
	//
	// f must not keep e, because the next call uses it again. f must not call the
	// store. Like List, Walk is not a snapshot.
	Walk(ctx context.Context, f func(e *Entry)) error
}

// A StoreReporter is a Store that reports whether it can be written, and what its
// writes cost.
type StoreReporter interface {
	// StoreStats returns the present state. It writes nothing and does not wait
	// for a write, so it can be called at any time.
	StoreStats() StoreStats
}

// StoreStats are the state and the statistics of a Store.
type StoreStats struct {
	// Err is why Put or Update would fail now, as far as the store knows. It is
	// nil if the store can be written. errors.Is finds ErrFull, ErrReadOnly,
	// ErrUnavailable or ErrClosed in it.
	Err error
	// Free is the number of bytes that are free for the store, on its disk for
	// example. It is -1 if the store does not know it.
	Free int64
	// CommitDuration is the duration of each commit that succeeded: the time that
	// it took to bring a group of changes to stable storage. CommitMessages is the
	// number of new messages in a commit that has some. Both have no Bounds if the
	// store does not have commits.
	CommitDuration, CommitMessages Histogram
	// Figures are further numbers that the store knows, for example "dead_rows". A
	// name is in lower case, with underscores, and ends with its unit. There are few
	// names, and they do not change.
	Figures map[string]float64
	// Warnings say what an operator should change before the store fails, a
	// sentence for each. They contain no names of files and no addresses.
	Warnings []string
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
	// At the first Claim or Next, the store computes when the wait began: Due minus
	// Wait. If this is more than a minute in the future, the clock was set back
	// in the meantime, and the message is due.
	Wait time.Duration
	// Hop is the next hop that the message waits for. It is zero if the hop is
	// not known or if the recipients wait for several hops.
	Hop NextHop
	// Owner and Until are the lease. An empty Owner means no lease.
	Owner string
	Until time.Time
	// Volatile means that this schedule ends with the process. When the store is
	// opened again, the message is due at once, and its hop may be forgotten. So
	// the store need not write the schedule. It must still write the states of
	// the recipients.
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
	// even if it is not due or if Owner has leased it already. Only, Except and
	// Max are ignored. It is not returned if another owner has leased it and
	// the lease has not expired.
	ID string
	// Only selects messages that wait for this hop. The zero hop is one like
	// the others.
	Only *NextHop
	// LeastUrgent reverses the order of priorities, not that of times. A queue sets it from time
	// to time so that messages of low priority get a share.
	LeastUrgent bool
	// Except excludes messages that wait for these hops.
	Except map[NextHop]bool
}

// A Query selects stored messages.
type Query struct {
	After string    // only IDs greater than this one; IDs are compared as bytes
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
	Priority int // MessageOptions.Priority; it may be limited to -9 to 9
	// Attempted reports whether a recipient has had an attempt
	// (Recipient.Attempts). A Store that is not a Searcher does not set it.
	Attempted bool
}

// A HopSum has totals of the messages that wait for one hop.
type HopSum struct {
	Hop   NextHop
	Count int   // messages, leased ones included
	Bytes int64 // the size of their content
	// Due is when the next of them can be claimed: the later of its due time and
	// the end of its lease, by the clock of Claim.Now. It is zero if one has no
	// due time and no lease.
	Due time.Time
	// Oldest is when the oldest of them was received.
	Oldest time.Time
	// Deferred is how many of them have had an attempt and wait for another
	// (MessageRetry by Entry.Status). A Store that is not a Searcher does not
	// set it.
	Deferred int
}

// Errors of a Store. Use errors.Is to test for them.
var (
	ErrExists    = errors.New("queue: a message with this ID is stored already")
	ErrNotFound  = errors.New("queue: no such message")
	ErrDamaged   = errors.New("queue: the stored message is damaged")
	ErrLeaseLost = errors.New("queue: the lease on the message is lost")
	ErrFull      = errors.New("queue: no room to store")
	ErrReadOnly  = errors.New("queue: the store cannot be written")
	// ErrUnavailable means that a store that is reached over a network cannot be
	// reached now. The Queue begins no delivery until it can be reached again.
	ErrUnavailable = errors.New("queue: the store cannot be reached")
	ErrClosed      = errors.New("queue: closed")
)
