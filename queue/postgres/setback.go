package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// If the clock of the database is set back, waits become longer. A wait that seems to
// begin more than a minute in the future shows that: see queue.Schedule. The message
// is then due. Smaller steps do no harm.

// setBackSlack is how far in the future a wait may seem to begin.
const setBackSlack = time.Minute

// clockSetBackSQL reports whether the clock of the database is behind the last beat of
// any node, which is about as late as the beginning of any wait.
const clockSetBackSQL = `
select coalesce(max(beat_at) > clock_timestamp() + $1 * interval '1 second', false) from bridgehead.node`

const endWaitsSQL = `
update bridgehead.message m set ready = n.now, due = n.now
from (select coalesce($1::bigint, bridgehead.nanos()) as now) n
where m.wait > 0 and m.ready > n.now and m.due - m.wait > n.now + $2`

// watchClock looks whether the clock of the database was set back while no node was
// running. Later, the heartbeat shows that: see clock.measured.
func (s *Store) watchClock(ctx context.Context) error {
	back := s.clock.simulated
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(clockSetBackSQL, setBackSlack.Seconds()).QueryRow(func(row pgx.Row) error {
			var behind bool
			err := row.Scan(&behind)
			back = back || behind
			return err
		})
	})
	s.clock.setBack.Store(back)
	return err
}

// endWaits makes messages due if the clock of the database was set back.
func (s *Store) endWaits(ctx context.Context) error {
	if !s.clock.setBack.Swap(false) {
		return nil
	}
	err := s.db.tx(ctx, func(b *pgx.Batch) { b.Queue(endWaitsSQL, s.clock.fixed(), int64(setBackSlack)) })
	if err != nil {
		s.clock.setBack.Store(true)
		return err
	}
	s.lanes.forget()
	return nil
}
