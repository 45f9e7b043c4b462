package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// endWaitsGroup is how many messages one transaction makes due.
const endWaitsGroup = 5000

// endWaitsSQL makes a group of messages due. It skips those that another node is about to
// change.
const endWaitsSQL = `
with present as (
	select coalesce($1::bigint, bridgehead.nanos()) as now
), late as (
	select m.id from bridgehead.message m, present
	where m.wait > 0 and m.ready > present.now and m.due - m.wait > present.now + $2
	limit $3 for update of m skip locked
)
update bridgehead.message m set ready = present.now, due = present.now from late, present where m.id = late.id`

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

// endWaits makes messages due if the clock of the database was set back: one group at each
// claim, so that no claim waits long.
func (s *Store) endWaits(ctx context.Context) error {
	if !s.clock.setBack.Swap(false) {
		return nil
	}
	var ended int64
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(endWaitsSQL, s.clock.fixed(), int64(setBackSlack), endWaitsGroup).Exec(func(tag pgconn.CommandTag) error {
			ended = tag.RowsAffected()
			return nil
		})
	})
	if err != nil || ended == endWaitsGroup {
		s.clock.setBack.Store(true) // there may be more
	}
	if ended > 0 {
		s.lanes.forget()
	}
	return err
}
