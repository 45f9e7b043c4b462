package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
)

var (
	_ queue.Store            = (*Store)(nil)
	_ queue.CloseNotifier    = (*Store)(nil)
	_ queue.RecipientUpdater = (*Store)(nil)
	_ queue.Searcher         = (*Store)(nil)
	_ queue.SuspensionStore  = (*Store)(nil)
	_ queue.StoreReporter    = (*Store)(nil)
	_ queue.Cluster          = (*Store)(nil)
	_ queue.DeliveryJournal  = (*Store)(nil)
)

// A Store is a [queue.Store] in a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	opts   Options // with the defaults
	log    *slog.Logger
	db     *db
	closed chan struct{} // closed by Close

	ctx       context.Context // of the goroutines of background; ends in Close
	cancel    context.CancelFunc
	running   sync.WaitGroup
	closers   []func(ctx context.Context) error
	closeOnce sync.Once
	closeErr  error

	node    *node
	clock   clock
	leases  leases
	leasing leasing
	lanes   lanes
	journal journal
	hops    hopIDs
	hash    addressHash // set by startContent
	content contentState
	health  health

	shareCalls atomic.Int64 // of ShareLimits

	groups  groups
	puts    puts
	changes changes
	stats   commitStats
}

// closeTimeout is how long Close waits for the database.
const closeTimeout = 15 * time.Second

// background runs f in a goroutine for which Close waits. The context of f ends in Close,
// after the functions of atClose.
func (s *Store) background(f func(ctx context.Context)) {
	s.running.Go(func() { f(s.ctx) })
}

// atClose registers what Close must do, in the reverse order of the calls. It is for
// start, and not for concurrent use.
func (s *Store) atClose(f func(ctx context.Context) error) { s.closers = append(s.closers, f) }

// check returns the error of a call with ctx that must not begin: ctx has ended, or the
// Store is closed.
func (s *Store) check(ctx context.Context) error {
	select {
	case <-s.closed:
		return queue.ErrClosed
	default:
		return ctx.Err()
	}
}

// Close finds out the outcome of the calls of Put in progress, records what is not recorded
// yet, gives the messages of this node to the others, and closes the connections. Without a
// database it waits for it at most 15 seconds; the other nodes then take the messages over.
// Close logs the IDs of the messages whose results it could not record, which may be
// delivered again, and of those whose Put has returned an error although they may be stored.
func (s *Store) Close() error {
	first := false
	s.closeOnce.Do(func() {
		first = true
		close(s.closed)
		ctx, cancel := context.WithTimeout(context.Background(), s.opts.closeTimeout)
		defer cancel()
		for i := len(s.closers) - 1; i >= 0; i-- {
			s.closeErr = errors.Join(s.closeErr, s.closers[i](ctx))
		}
		s.cancel()
		s.running.Wait()
		s.logLost()
		s.db.close()
		s.closeErr = errors.Join(s.closeErr, s.journal.close())
	})
	if !first {
		return queue.ErrClosed
	}
	return s.closeErr
}

// Closed implements [queue.CloseNotifier].
func (s *Store) Closed() <-chan struct{} { return s.closed }

// emit writes an empty record, so that the commit must be durable: a
// transaction that writes nothing is not written to disk.
const emit = `select pg_logical_emit_message(true, 'bridgehead', '')`

// Sync implements [queue.Store]. It waits until the changes that this node has made are in
// the database, and commits once more to see that the database can record.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	return s.db.tx(ctx, func(b *pgx.Batch) { b.Queue(emit) })
}

// StoreStats implements [queue.StoreReporter]. Its Err is why the database cannot be used,
// as far as this node knows.
func (s *Store) StoreStats() queue.StoreStats {
	tables := s.health.get()
	stats := queue.StoreStats{Free: -1, CommitDuration: s.stats.duration.Snapshot(), CommitMessages: s.stats.messages.Snapshot(),
		Figures: tables.figures(), Warnings: append(tables.warnings(), s.node.warnings()...)}
	select {
	case <-s.closed:
		stats.Err = queue.ErrClosed
		return stats
	default:
	}
	if err := s.db.down.Load(); err != nil {
		stats.Err = err
	} else if err := s.node.mayBegin(); err != nil {
		stats.Err = err
	}
	return stats
}
