package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// VACUUM makes the space of dead rows free for new rows, but it gives space back to the
// disk only at the end of a table, and never that of an index. After a backlog of a million
// messages, a few that are left keep a table of hundreds of MiB. So a round of maintenance
// writes the table and its indexes again if most of it is free: the function
// shrink_messages, which runs with the privileges of the owner of the table.
//
// Everything that uses the table waits meanwhile: with 80,000 messages left of 400,000, at
// most 8 s on a machine with two processors that was busy. So the Store does not do this for
// more than shrinkMost messages, or while an old transaction is open: the dead rows that
// this transaction may still see would be written again too. If the table cannot be locked
// at once, for example because a backup reads it, it does not change until a later round.

const (
	// shrinkLeast is the minimum number of bytes that are free.
	shrinkLeast = 16 << 20
	// shrinkMost is the maximum number of messages.
	shrinkMost = 100_000
	// shrinkAfter is how long the table must have been too large: the space may be needed again.
	shrinkAfter = time.Minute
	// shrinkXmin is the maximum age of the oldest transaction, in transactions.
	shrinkXmin = 5000
)

const readRows = `
select count(*), coalesce(sum(octet_length(envelope) + octet_length(state) + 8 * cardinality(rcpts)), 0)::bigint,
	pg_total_relation_size('bridgehead.message')
from bridgehead.message`

// tableBytes estimates what a new table of messages has on disk, with its indexes. bytes is
// the size of the columns of different lengths.
func tableBytes(rows, bytes int64) int64 { return (bytes+160*rows)*10/7 + 250*rows }

// shrink writes the table of messages again if most of it is free.
func (s *Store) shrink(ctx context.Context, after time.Duration, least int64) error {
	h := s.health.get()
	if h.table < least || h.live > 2*shrinkMost || h.xmin > shrinkXmin {
		s.content.setBloated(false)
		return nil
	}
	var rows, bytes, size int64
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(readRows).QueryRow(func(row pgx.Row) error { return row.Scan(&rows, &bytes, &size) })
	})
	if err != nil {
		return err
	}
	bloated := rows <= shrinkMost && size > least+2*tableBytes(rows, bytes)
	if since := s.content.setBloated(bloated); !bloated || time.Since(since) < after {
		return nil
	}
	began, shrunk := time.Now(), false
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(`select bridgehead.shrink_messages()`).QueryRow(func(row pgx.Row) error { return row.Scan(&shrunk) })
	})
	// If the table could not be locked, do not make others wait again soon.
	s.content.setBloated(false)
	if err == nil && shrunk {
		s.log.Info("the table of messages was written again, because most of it was free", "messages", rows, "bytes", size,
			"duration", time.Since(began).Round(time.Millisecond))
	}
	return err
}

// setBloated records whether the table is too large, and returns since when.
func (c *contentState) setBloated(bloated bool) (since time.Time) {
	c.Lock()
	defer c.Unlock()
	switch {
	case !bloated:
		c.bloated = time.Time{}
	case c.bloated.IsZero():
		c.bloated = time.Now()
	}
	return c.bloated
}
