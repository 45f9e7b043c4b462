package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// The Store must know whether a transaction was committed before it answers. If it
// guessed, it would lose an accepted message, or deliver one that it refused. So each
// transaction that stores or records messages is a group: it also inserts a row in the
// table outcome, with the key of the group. These are the cases:
//
//	What happens                              What the Store does
//	----------------------------------------  ------------------------------------------
//	The connection cannot be opened, or       Nothing was committed: an error, at once.
//	breaks before anything was sent.
//	A statement fails.                        The server rolls back: an error, at once.
//	The connection breaks after the first     The outcome is unknown. The server may have
//	byte was sent and before the answer to    the whole group, and execute it later: it
//	the commit has come: the server crashed   may still have to read it. The Store inserts
//	or was shut down, an operator ended the   the row itself, on a new connection, as a
//	connection, the network is cut, the       fence. If the row of the group is there, the
//	server is silent for too long, or the     group was committed. If not, the fence is
//	Store closes.                             there now, so the group can never be
//	                                          committed: the key of the row is unique. If
//	                                          the group is in progress, the server lets the
//	                                          fence wait for its end.
//	The commit returns, with the warning      The outcome is unknown: the commit is on the
//	that the wait for the synchronous         primary only. The fence finds the row and
//	standby was canceled.                     writes it again. So its own commit returns
//	                                          when the standby has both.
//	A standby becomes the primary meanwhile.  The fence is inserted there. A synchronous
//	                                          standby has every group that was answered.
//	The database cannot be reached.           The Store asks until it can, at least every
//	                                          repeatAtMost.
//	The answer to the fence is lost.          The Store asks again. A fence is a row without
//	                                          missing, so it is not mistaken for a group.
//	ctx of Put ends while the message waits   The message leaves the group.
//	for its group.
//	ctx of Put ends while its group is in     If the message is leased, Put returns the
//	progress or unknown.                      error. No other node delivers a message that
//	                                          this node has leased. When the outcome is
//	                                          known, the Store removes the message. If it
//	                                          is not leased, other nodes may deliver it as
//	                                          soon as it is committed, so Put waits for the
//	                                          outcome.
//	Close while the outcome is unknown.       Close waits, for at most closeTimeout. Then
//	                                          Put returns an error that says so, and the
//	                                          Store logs the IDs. If the message is in the
//	                                          database, it is delivered, and delivered twice
//	                                          if the client sends it again.
//	The process dies.                         No client got an answer that is not in the
//	                                          database. What was committed without an
//	                                          answer is delivered, as with any crash.
//
// A group whose outcome is known and that was committed needs its row no longer. A later
// group removes the rows of several. A fence stays for fenceDays, because a server might still execute its
// group.

// A group is a transaction whose outcome can be asked for.
type group struct {
	key  int64 // of its row in outcome
	node int64 // the node of the leases of its new messages
	// missing are the places of the items of the group that were not stored or
	// recorded, counted from 1.
	missing []int64
	// doubt is called if the outcome is unknown, before the Store asks for it. It may
	// be nil.
	doubt func(err error)
}

// groups makes the groups of a Store.
type groups struct {
	mu   sync.Mutex
	keys keys // guarded by mu, like all below
	// settled are the keys of groups whose rows can be removed.
	settled []int64
}

// removeTogether is how many groups there are for each removal of their rows.
const removeTogether = 32

// new returns a new group.
func (gs *groups) new() *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return &group{key: gs.keys.key()}
}

// settle records that the rows of groups can be removed.
func (gs *groups) settle(keys ...int64) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.settled = append(gs.settled, keys...)
}

// take returns the keys of the groups whose rows can be removed, and forgets them. It
// returns none if there are fewer than atLeast.
func (gs *groups) take(atLeast int) (keys []int64) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if len(gs.settled) >= atLeast {
		keys, gs.settled = gs.settled, nil
	}
	return keys
}

const (
	// The key alone finds the rows. A condition on several columns may read all dead
	// rows that it shares a column with.
	removeOutcomes = `delete from bridgehead.outcome where key = any($1)`

	insertFence = `
insert into bridgehead.outcome as o (key) values ($1)
on conflict (key) do update set at = excluded.at
returning o.missing is not null, o.missing`

	// fenceDays is the number in this statement.
	removeFences = `delete from bridgehead.outcome where at < clock_timestamp() - interval '7 days'`
)

// startOutcomes removes the rows that dead processes have left. Close removes those of
// this Store.
func (s *Store) startOutcomes(ctx context.Context) error {
	s.atClose(func(ctx context.Context) error {
		settled := s.groups.take(1)
		if len(settled) == 0 {
			return nil
		}
		return s.db.tx(ctx, func(b *pgx.Batch) { b.Queue(removeOutcomes, settled) })
	})
	return s.db.tx(ctx, func(b *pgx.Batch) { b.Queue(removeFences) })
}

// queue adds the statement that ends g to b. It returns what is missing of g.
func (g *group) queue(b *pgx.Batch, sql string, args ...any) {
	b.Queue(sql, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&g.missing) })
}

// once runs a transaction exactly once, which add adds to a batch. It ends with
// g.queue. If once returns nil, the transaction is committed and durable, on a
// synchronous standby too. If errors.Is finds errOutcomeUnknown in the error, ctx has
// ended or the Store was closed before the outcome could be found out. After any other
// error the transaction is not committed and never will be.
func (s *Store) once(ctx context.Context, g *group, add func(b *pgx.Batch)) error {
	settled := s.groups.take(removeTogether)
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		g.missing = nil
		add(b)
		if len(settled) > 0 {
			b.Queue(removeOutcomes, settled)
		}
	})
	if err != nil {
		s.groups.settle(settled...)
	}
	return s.outcome(ctx, g, err)
}

// outcome returns the error of a group whose transaction returned err. If the outcome
// is unknown, it asks the database: see once.
func (s *Store) outcome(ctx context.Context, g *group, err error) error {
	if err == nil {
		s.groups.settle(g.key)
		return nil
	}
	if !errors.Is(err, errOutcomeUnknown) {
		return err
	}
	if g.doubt != nil {
		g.doubt(err)
	}
	for try := 1; ; try++ {
		committed, asked := s.fence(ctx, g)
		switch {
		case asked == nil && committed:
			s.groups.settle(g.key)
			return nil
		case asked == nil:
			return &abortedError{err}
		case !sleep(ctx, repeatAfter(try)):
			return err
		}
	}
}

// repeatAtMost is the longest time between two questions for an outcome, and between two
// attempts to record changes.
const repeatAtMost = 250 * time.Millisecond

// repeatAfter returns the wait after failure number n.
func repeatAfter(n int) time.Duration { return min(backoff(n), repeatAtMost) }

// fence reports whether g is committed. If it is not, it cannot be committed any more.
func (s *Store) fence(ctx context.Context, g *group) (committed bool, err error) {
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(insertFence, g.key).QueryRow(func(row pgx.Row) error {
			return row.Scan(&committed, &g.missing)
		})
	})
	return committed, err
}

// An abortedError is the error of a group whose outcome was unknown for a while, and
// that is not committed.
type abortedError struct{ cause error }

func (e *abortedError) Error() string {
	return fmt.Sprintf("%v; it was not committed", e.cause)
}

// Unwrap returns what kind of error the cause is, but not that the outcome is unknown.
func (e *abortedError) Unwrap() error {
	if d, ok := errors.AsType[*dbError](e.cause); ok {
		return d.kind
	}
	return nil
}

// isAborted reports whether a group was not committed, and the database can be used.
func isAborted(err error) bool {
	_, ok := errors.AsType[*abortedError](err)
	return ok
}
