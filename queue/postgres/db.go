package postgres

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Limits on the time that the database may take. A transaction of the Store takes
// milliseconds; whatever takes longer than these limits does not work.
const (
	connectTimeout   = 10 * time.Second
	statementTimeout = 30 * time.Second
	lockTimeout      = 10 * time.Second
	// txTimeout ends a transaction without an answer, for example because the network
	// is cut. It is longer than statementTimeout, so that the server
	// answers first if it can.
	txTimeout = 40 * time.Second
	// streamTimeout is the same for a transaction with large content.
	streamTimeout = 5 * time.Minute
	// leastWait is how long a caller must have waited for a transaction, so that its end
	// counts as a failure of the database.
	leastWait = 2 * time.Second
	// attempts is how often a transaction is tried that was certainly not committed.
	attempts = 5
)

// A db runs transactions. It is safe for concurrent use.
type db struct {
	pool   *pgxpool.Pool
	pooler bool
	log    *slog.Logger
	ctx    context.Context // ends with close
	cancel context.CancelFunc

	// down is the error of the last transaction if the database could not be used.
	down atomic.Pointer[dbError]
}

// tx runs one transaction in one round trip. add appends its statements to b, with
// functions for their results. tx calls it again if it repeats the transaction, so it
// must begin with empty results each time.
//
// All statements are sent at once, with one Sync at the end. The server runs them as one
// transaction, and commits it when it reads the Sync (PostgreSQL documentation, 55.2.4,
// Pipelining). So a connection that breaks before the end leaves nothing behind.
//
// If tx returns nil, the transaction is committed and durable. If errors.Is finds
// errOutcomeUnknown in the error, it may be committed. After any other error it is not
// committed. A function for a result that returns an error does not undo the transaction,
// so the outcome counts as unknown.
func (d *db) tx(ctx context.Context, add func(b *pgx.Batch)) error {
	return d.repeat(ctx, txTimeout, func(ctx context.Context, c *pgx.Conn) error { return d.pipeline(ctx, c, add) })
}

// stream runs one transaction in several round trips, for content that is too large for
// one. Its errors are those of tx. f is called again if the transaction is repeated.
func (d *db) stream(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	return d.repeat(ctx, streamTimeout, func(ctx context.Context, c *pgx.Conn) error { return d.interactive(ctx, c, f) })
}

// repeat runs a transaction until it is committed, or may be, or cannot be.
func (d *db) repeat(ctx context.Context, limit time.Duration, run func(context.Context, *pgx.Conn) error) error {
	if d.ctx.Err() != nil {
		return queue.ErrClosed
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	begin := time.Now()
	for try := 1; ; try++ {
		err := d.pool.AcquireFunc(limited, func(c *pgxpool.Conn) error {
			return replicated(c.Conn(), run(limited, c.Conn()))
		})
		if err == nil {
			d.succeeded()
			return nil
		}
		again := isConflict(err) || pgconn.SafeToRetry(err) && !isConnect(err)
		if !again || try == attempts || !sleep(limited, backoff(try)) {
			return d.failed(err, ctx.Err() != nil && time.Since(begin) < leastWait)
		}
	}
}

// An unknownError is an error after which the outcome is unknown.
type unknownError struct{ error }

func (e unknownError) Unwrap() error { return e.error }

// pipeline sends all statements of a transaction at once.
func (d *db) pipeline(ctx context.Context, c *pgx.Conn, add func(b *pgx.Batch)) error {
	b := &pgx.Batch{}
	if d.pooler {
		b.Queue(setTimeouts, ms(statementTimeout), ms(lockTimeout))
	}
	first := b.Len()
	add(b)
	if b.Len() == first {
		return nil
	}
	results := c.SendBatch(ctx, b)
	done, err := read(b, results)
	if closeErr := results.Close(); err == nil {
		err = closeErr
	}
	return outcome(err, done)
}

// interactive runs f between begin and commit.
func (d *db) interactive(ctx context.Context, c *pgx.Conn, f func(context.Context, pgx.Tx) error) error {
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	if d.pooler {
		_, err = tx.Exec(ctx, setTimeouts, ms(statementTimeout), ms(lockTimeout))
	}
	if err == nil {
		err = f(ctx, tx)
	}
	if err != nil {
		// If the connection does not work, the server rolls back by itself.
		_ = tx.Rollback(context.WithoutCancel(ctx))
		return err
	}
	return outcome(tx.Commit(ctx), true)
}

// replicated returns err, the outcome of a transaction on c. If the server has not waited
// for the synchronous standby, the outcome is unknown: a failover may lose the transaction.
func replicated(c *pgx.Conn, err error) error {
	custom := c.PgConn().CustomData()
	if custom[notReplicated] == nil {
		return err
	}
	delete(custom, notReplicated)
	return unknownError{errors.New("the server did not wait for the synchronous standby")}
}

// read reads the results of the statements. done reports whether all of them succeeded;
// the commit comes after that.
func read(b *pgx.Batch, results pgx.BatchResults) (done bool, err error) {
	for i, q := range b.QueuedQueries {
		if q.Fn == nil {
			_, err = results.Exec()
		} else {
			err = q.Fn(results)
		}
		if err != nil {
			// Close would call the functions of the statements that follow.
			for _, q := range b.QueuedQueries[i:] {
				q.Fn = nil
			}
			return false, err
		}
	}
	return true, nil
}

// outcome returns err, as an unknownError if the transaction may be committed. done
// reports whether all statements had succeeded.
func outcome(err error, done bool) error {
	if err == nil || pgconn.SafeToRetry(err) {
		return err // nothing was sent
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok:
		return unknownError{err}
	case isFatal(pg), len(pg.Code) > 2 && pg.Code[:2] == "08":
		// The server can end the connection after the commit. A pooler sends this when
		// it has lost the connection to the server, at any time.
		return unknownError{err}
	case !done:
		return err // an error of a statement: the server rolls back
	case pg.Code[:min(2, len(pg.Code))] == "23", pg.Code[:min(2, len(pg.Code))] == "40":
		return err // a constraint or a conflict that the commit found
	}
	return unknownError{err}
}

// succeeded and failed record whether the database can be used. failed returns the error
// of the Store for err. early means that the caller has ended the transaction so early
// that the database may work.
func (d *db) succeeded() {
	if d.down.Load() != nil && d.down.Swap(nil) != nil {
		d.log.Info("the database can be used again")
	}
}

func (d *db) failed(err error, early bool) error {
	_, unknown := errors.AsType[unknownError](err)
	if d.ctx.Err() != nil && !unknown {
		return queue.ErrClosed
	}
	e := newError(err, unknown)
	if d.ctx.Err() != nil {
		return e // the end of the Store says nothing about the database
	}
	if early {
		return e
	}
	if e.cause == context.DeadlineExceeded {
		e.kind = queue.ErrUnavailable
	}
	if e.kind != nil && d.down.Swap(e) == nil {
		d.log.Error("the database cannot be used", "err", e)
	}
	if e.kind == queue.ErrUnavailable && !isConnect(err) {
		d.pool.Reset() // the other connections are probably broken too
	}
	return e
}

// close ends the transactions in progress and closes the connections.
func (d *db) close() {
	d.cancel()
	d.pool.Close()
}

// setTimeouts is the first statement of each transaction in pooler mode. The settings
// end with the transaction.
const setTimeouts = `select set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true),
	set_config('search_path', 'pg_catalog', true)`

// notReplicated is set in the CustomData of a connection whose commit was not confirmed by
// the synchronous standby.
const notReplicated = "bridgehead: not replicated"

// onNotice looks for the warning that a commit is durable on the primary only. Its text
// may be translated, but it always comes from this function of the server.
func onNotice(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		c.CustomData()[notReplicated] = true
	}
}

func isConnect(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

func isNetError(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// backoff returns the wait after failure number n: a random part of 10, 20, 40 ... ms.
func backoff(n int) time.Duration {
	return rand.N(10 * time.Millisecond << min(n, 10))
}

// sleep waits, and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
