package postgres

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
)

// A line is a connection that is not in the pool. The heartbeat has one, so that it
// never waits until another transaction returns a connection. A line connects when it is
// used, and again after an error. It is not safe for concurrent use.
type line struct {
	db *db
	// timeout limits a transaction, the connecting included, and so each statement of
	// it in the server.
	timeout time.Duration
	conn    *pgx.Conn // nil: not connected
	broken  bool      // the last transaction failed
}

// tx is [db.tx] on this connection, but it tries only once.
func (l *line) tx(ctx context.Context, add func(b *pgx.Batch)) error {
	if l.db.ctx.Err() != nil {
		return queue.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	defer context.AfterFunc(l.db.ctx, cancel)()
	err := l.once(ctx, add)
	if err == nil {
		if l.broken {
			l.db.log.Info("the heartbeat of this node works again")
		}
		l.broken = false
		return nil
	}
	l.close()
	if l.db.ctx.Err() != nil {
		return queue.ErrClosed
	}
	e := newError(err, false)
	if !l.broken && ctx.Err() != context.Canceled {
		l.db.log.Error("the heartbeat of this node fails", "err", e)
		l.broken = true
	}
	return e
}

func (l *line) once(ctx context.Context, add func(b *pgx.Batch)) (err error) {
	if l.conn == nil {
		if l.conn, err = l.db.connect(ctx); err != nil {
			return err
		}
	}
	return replicated(l.conn, l.db.pipeline(ctx, l.conn, func(b *pgx.Batch) {
		b.Queue(setTimeouts, ms(l.timeout), ms(l.timeout))
		add(b)
	}))
}

// close closes the connection.
func (l *line) close() {
	if l.conn != nil {
		closeConn(l.conn)
		l.conn = nil
	}
}

// closeConn closes a connection that is not in the pool. It does not wait long for the
// network.
func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.Close(ctx)
}
