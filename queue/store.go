package queue

import (
	"context"
	"errors"
	"iter"
	"time"
)

// A Store keeps messages safe between the moment they are accepted and the
// moment their last recipient has ended. Implementations differ in where;
// queuetest holds them all to the promises written here.
//
// All methods may be called concurrently. A message is *leased* while a queue
// has it in hand: nobody else is given it until the lease ends, is released,
// or its time runs out because its owner died. An embedded store has one
// owner and treats every lease that it finds when opened as ended.
type Store interface {
	// Put stores a new message. When it returns nil, envelope and content are
	// on stable storage: they survive kill -9 and power loss. On any error
	// nothing is left behind that would ever be delivered, but for one case: a
	// message refused because the disk failed may come back if the process
	// dies before the disk works again. An ID that is in the store already is
	// ErrExists; a store without room says ErrFull.
	//
	// Put keeps m.Content itself where that spares a copy, so bytes in memory
	// ([Bytes], [String]) must not change afterwards; m itself it does not
	// keep. Where m.Content is anything else (it reads a file, say), Put sets
	// it to an equal Content that does not need the old one any more: when Put
	// has returned nil, the submitter may close what was behind it. A message
	// put under a lease (s.Owner) stays in its owner's hand: the owner
	// delivers from m, and no Claim gives it out while the lease lasts.
	Put(ctx context.Context, m *Message, s Schedule) error

	// Claim leases messages that are due and under no live lease, and returns
	// them with recipients and content: the most urgent priority first, then
	// the longest due. No message is no error.
	//
	// Content is read from the store when it is asked for, and can be read
	// for as long as the message is leased; after that reading may fail with
	// ErrNotFound. It never yields wrong bytes: a Read or WriteTo that meets
	// damage fails with ErrDamaged, WriteTo at its end at the latest.
	// A message whose envelope cannot be read any more is set aside and
	// reported by the store, and Claim goes on with the next.
	Claim(ctx context.Context, c Claim) ([]*Message, error)

	// Next tells when Claim, called with the same c, would next find
	// something; the zero time when nothing waits.
	Next(ctx context.Context, c Claim) (time.Time, error)

	// Renew extends the owner's leases on the messages to until, and returns
	// the IDs that are not the owner's any more.
	Renew(ctx context.Context, owner string, until time.Time, ids ...string) (lost []string, err error)

	// Update records the recipients of a message as they stand in m, its
	// Interrupted, and its new schedule. Mostly only their states have changed since the message was
	// last stored; after a redirection also their addresses, routes, options
	// or number. owner must hold the lease (one that ran out counts, as
	// long as nobody else has claimed the message since); ErrLeaseLost means
	// that it does not and that nothing was recorded. Unless s keeps the
	// lease it is released. Envelope and content stay as they were put.
	//
	// Update and Remove may return before the record is on stable storage;
	// it is there at most 100 ms later. An error (ErrFull, ErrReadOnly, I/O)
	// means that nothing can be recorded now, this call's record included:
	// the caller must then stop delivering, or it would deliver twice. Sync
	// tells when it may go on; the call must then be made again.
	Update(ctx context.Context, owner string, m *Message, s Schedule) error

	// Remove ends a message: nothing of it will be claimed again. The lease
	// and the errors are as with Update; ErrNotFound where it has ended.
	Remove(ctx context.Context, owner, id string) error

	// Sync makes everything recorded so far durable before it returns. An
	// error says that the store cannot record now; nil that it can (again).
	Sync(ctx context.Context) error

	// Get returns one message, leased or not, without leasing it.
	// ErrNotFound when it is not there.
	Get(ctx context.Context, id string) (*Message, error)

	// List walks over the stored messages that match, in the order of their
	// IDs, beginning after Query.After. It is not a snapshot: messages that
	// come and go meanwhile may be seen or not.
	List(ctx context.Context, q Query) iter.Seq2[*Entry, error]

	// Hops sums up the stored messages, leased or not, by the hop that they
	// wait for, without reading them and in no particular order.
	Hops(ctx context.Context) ([]HopSum, error)

	// Close makes what was recorded durable and gives up all leases. Calls
	// after it return ErrClosed.
	Close() error
}

// A Marker is a Store that can tell, after the process died, which messages
// were in somebody's hands at that moment. It is how a message that kills its
// reader is found (poison).
//
// A queue calls Begin before it does with a message what might kill the
// process, and End after it; both are cheap (no system call, no sync) and
// cannot fail. Messages between Begin and End when the process died come back
// from Claim and Get with Message.Interrupted one higher than before.
type DeliveryJournal interface {
	Begin(id string)
	End(id string)
}

// A Schedule says when a message is due and who has it in hand.
type Schedule struct {
	// Due is when the message may be claimed. The zero time means at once.
	Due time.Time
	// Hop is the queue that the message waits in, where it is known; the
	// zero value where it is not, or where its recipients wait in several.
	Hop NextHop
	// Owner and Until are the lease. An empty Owner releases it.
	Owner string
	Until time.Time
	// Volatile allows the store to forget this schedule (not the recipients'
	// states) at a restart: the message is then due at once.
	Volatile bool
}

// A Claim says what to lease.
type Claim struct {
	Owner string
	Until time.Time // end of the lease
	Now   time.Time
	Max   int // at most so many messages; 0 means 1
	// ID restricts the claim to this one message, whether it is due or not
	// and whatever it waits for (an operator's hand). Only and Except are then
	// ignored. A live lease of another owner still keeps it away.
	ID string
	// Only restricts the claim to messages that wait for this hop.
	Only *NextHop
	// LeastUrgent turns the order of the priorities round: by claiming so now
	// and then, a queue gives each its share.
	LeastUrgent bool
	// Except leaves out messages that wait for these hops.
	Except map[NextHop]bool
}

// A Query selects stored messages.
type Query struct {
	After string // IDs greater than this one
	Hop   *NextHop
}

// An Entry is what a store knows of a message without reading it.
type Entry struct {
	ID       string
	Schedule Schedule
	Size     int64
	Received time.Time
	Priority int
}

// A HopSum says what waits for one hop.
type HopSum struct {
	Hop   NextHop
	Count int       // messages, those in hand included
	Bytes int64     // their content
	Due   time.Time // when the next of them is due or its lease ends
}

// Errors of a Store; test with errors.Is.
var (
	ErrExists    = errors.New("queue: a message with this ID is stored already")
	ErrNotFound  = errors.New("queue: no such message")
	ErrDamaged   = errors.New("queue: the stored message is damaged")
	ErrLeaseLost = errors.New("queue: the lease on the message is lost")
	ErrFull      = errors.New("queue: no room to store")
	ErrReadOnly  = errors.New("queue: the store cannot be written")
	ErrClosed    = errors.New("queue: closed")
)
