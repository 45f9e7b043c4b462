package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// hopsSQL reads the index message_hop, which has what it needs of the messages that are
// not leased. The others are at most Limits.Active for each node.
const hopsSQL = `
select hop, sum(count)::bigint, sum(bytes)::bigint, coalesce(min(oldest), 0), min(ready), bool_or(at_once), sum(deferred)::bigint
from (
	select hop, count(*) as count, sum(size) as bytes, min(received) filter (where received <> 0) as oldest,
		min(ready) as ready, bool_or(due is null) as at_once, count(*) filter (where attempted) as deferred
	from bridgehead.message where node is null group by hop
	union all
	select hop, count(*), sum(size), min(received) filter (where received <> 0),
		null, false, count(*) filter (where attempted)
	from bridgehead.message where node is not null group by hop) sums
group by hop`

// Hops implements [queue.Store]. Due is that of the messages that no other node has
// leased.
func (s *Store) Hops(ctx context.Context) ([]queue.HopSum, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	var sums []queue.HopSum
	var ids []int32
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		sums, ids = nil, nil
		b.Queue(hopsSQL).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				sum, hop, err := s.scanHop(rows)
				if err != nil {
					return err
				}
				sums, ids = append(sums, sum), append(ids, hop)
			}
			return rows.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	names, err := s.hops.names(ctx, ids)
	if err != nil {
		return nil, err
	}
	leased := s.firstLeased()
	for i := range sums {
		h := &sums[i]
		h.Hop = names[ids[i]]
		if at, ok := leased[h.Hop]; h.Due.Equal(noneWaits) || ok && at.Before(h.Due) {
			h.Due = at
		}
	}
	return sums, nil
}

// noneWaits is the Due of a hop whose messages are all leased.
var noneWaits = timeOf(math.MaxInt64)

// scanHop reads the columns of hopsSQL. hop is the number of the hop.
func (s *Store) scanHop(rows pgx.Rows) (sum queue.HopSum, hop int32, err error) {
	var oldest int64
	var ready *int64
	var atOnce bool
	if err := rows.Scan(&hop, &sum.Count, &sum.Bytes, &oldest, &ready, &atOnce, &sum.Deferred); err != nil {
		return sum, 0, err
	}
	sum.Oldest = timeOf(oldest)
	switch {
	case atOnce: // Due is zero
	case ready != nil:
		sum.Due = timeOf(*ready).Add(-s.clock.ahead())
	default:
		sum.Due = noneWaits
	}
	return sum, hop, nil
}

// firstLeased returns when the messages that this node has leased can be claimed, by
// hop: the first time of each.
func (s *Store) firstLeased() map[queue.NextHop]time.Time {
	first := make(map[queue.NextHop]time.Time)
	s.leases.each(func(_ string, sch *queue.Schedule) bool {
		at := sch.Due
		if sch.Until.After(at) {
			at = sch.Until
		}
		if old, ok := first[sch.Hop]; !ok || at.Before(old) {
			first[sch.Hop] = at
		}
		return true
	})
	return first
}
