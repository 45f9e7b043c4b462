package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Rows that are not needed any more are removed in rounds of maintenance. See cleaning in takeover.go
// for what must be removed sooner.

const (
	// tidyInterval is the least time between two rounds of a node that remove rows.
	tidyInterval = time.Hour
	// hopsGroup is how many next hops one transaction removes.
	hopsGroup = 10_000
)

// tidy removes rows, and looks for messages without content, if this node has not done it
// in the last hour.
func (s *Store) tidy(ctx context.Context) error {
	s.content.Lock()
	due := s.content.tidied.IsZero() || time.Since(s.content.tidied) > tidyInterval
	if due {
		s.content.tidied = time.Now()
	}
	s.content.Unlock()
	if !due {
		return nil
	}
	if err := s.db.tx(ctx, func(b *pgx.Batch) { b.Queue(removeFences) }); err != nil {
		return err
	}
	for removed := int64(hopsGroup); removed == hopsGroup; {
		if err := s.db.tx(ctx, func(b *pgx.Batch) {
			b.Queue(removeHops, hopsGroup).Exec(func(tag pgconn.CommandTag) error {
				removed = tag.RowsAffected()
				return nil
			})
		}); err != nil {
			return err
		}
	}
	return s.lookForMissing(ctx)
}
