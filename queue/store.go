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
	// nothing is left behind that would ever be delivered. An ID that is in
	// the store already is ErrExists; a store without room says ErrFull.
	//
	// Put keeps m.Content itself where that spares a copy, so its bytes must
	// not change afterwards; m itself it does not keep.
	Put(ctx context.Context, m *Message, s Schedule) error

	// Claim leases messages that are due and under no live lease, and returns
	// them with recipients and content: the most urgent priority first, then
	// the longest due. No message is no error.
	Claim(ctx context.Context, c Claim) ([]*Message, error)

	// Next tells when Claim, called with the same c, would next find
	// something; the zero time when nothing waits.
	Next(ctx context.Context, c Claim) (time.Time, error)

	// Renew extends the owner's leases on the messages to until, and returns
	// the IDs that are not the owner's any more.
	Renew(ctx context.Context, owner string, until time.Time, ids ...string) (lost []string, err error)

	// Update records the recipients of a message as they stand in m, and its
	// new schedule. Unless s keeps the lease it is released. ErrLeaseLost
	// means that the message is another's by now and nothing was recorded.
	//
	// Update and Remove may return before the record is on stable storage;
	// it is there at most 100 ms later. An error (ErrFull, ErrReadOnly, I/O)
	// means that it will not be: the caller must then stop delivering, or it
	// would deliver twice.
	Update(ctx context.Context, m *Message, s Schedule) error

	// Remove ends a message: nothing of it will be claimed again.
	Remove(ctx context.Context, owner, id string) error

	// Get returns one message, leased or not, without leasing it.
	// ErrNotFound when it is not there.
	Get(ctx context.Context, id string) (*Message, error)

	// List walks over the stored messages that match, in the order of their
	// IDs, beginning after Query.After. It is not a snapshot: messages that
	// come and go meanwhile may be seen or not.
	List(ctx context.Context, q Query) iter.Seq2[*Entry, error]

	// Close makes what was recorded durable and gives up all leases. Calls
	// after it return ErrClosed.
	Close() error
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
}

// Errors of a Store; test with errors.Is.
var (
	ErrExists    = errors.New("queue: a message with this ID is stored already")
	ErrNotFound  = errors.New("queue: no such message")
	ErrLeaseLost = errors.New("queue: the lease on the message is lost")
	ErrFull      = errors.New("queue: no room to store")
	ErrReadOnly  = errors.New("queue: the store cannot be written")
	ErrClosed    = errors.New("queue: closed")
)
