package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// endLeasesSQL ends leases in the database: see leases.
const endLeasesSQL = `
update bridgehead.message m set node = null, ready = o.ready
from unnest($1::text[], $2::bigint[], $3::bigint[]) o (id, lease, ready)
where m.id = o.id and m.lease = o.lease and m.node is not null
returning m.hop, m.prio, m.ready, m.id`

// endLeases ends the leases of this node that are over at now, by the clock of the
// Queue. Their messages can be claimed since the end of the lease.
func (s *Store) endLeases(ctx context.Context, now time.Time) error {
	os := s.leases.over(now)
	if len(os) == 0 {
		return nil
	}
	ids, numbers, readys := make([]string, len(os)), make([]int64, len(os)), make([]int64, len(os))
	for i, o := range os {
		ids[i], numbers[i], readys[i] = o.id, o.number, s.readyAfter(o.lease)
	}
	// An Update that keeps a lease must not be recorded after its end.
	if err := s.settle(ctx, ids...); err != nil {
		return err
	}
	if _, err := s.writeLanes(ctx, endLeasesSQL, ids, numbers, readys); err != nil {
		return err
	}
	s.leases.end(os)
	return nil
}

// writeLanes runs a statement that ends leases, and returns the number of messages that
// can be claimed now. The statement returns hop, prio, ready and id of each.
func (s *Store) writeLanes(ctx context.Context, sql string, args ...any) (n int, err error) {
	var written []laneBegin
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		written = nil
		b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
			var l laneBegin
			_, err := pgx.ForEachRow(rows, []any{&l.hop, &l.prio, &l.ready, &l.id}, func() error {
				written = append(written, l)
				return nil
			})
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	for _, l := range written {
		s.lanes.wrote(l.hop, l.prio, l.ready, l.id)
	}
	return len(written), nil
}

// readyAfter returns the column ready after the end of a lease: the later of its end
// and the due time of the message.
func (s *Store) readyAfter(x lease) int64 {
	ready := int64(math.MinInt64)
	if !x.schedule.Due.IsZero() {
		ready, _, _ = s.clock.due(x.schedule)
	}
	return max(ready, nanos(x.schedule.Until.Add(s.clock.ahead())))
}

// watchLeases ends leases once a second. Claim does that too, but a Queue that has
// enough to do does not claim.
func (s *Store) watchLeases(ctx context.Context) {
	if s.clock.simulated {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.endLeases(ctx, s.clock.queueNow()) // the db logs an error
		}
	}
}
