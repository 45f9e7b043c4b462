package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// selectLanes finds the lanes after the lane $2, $3 and where they begin. It skips from lane
// to lane, so its cost depends on the number of lanes, not of messages.
const selectLanes = `
with recursive lane as (
  (select hop, prio, ready, id from bridgehead.message where node is null and (hop, prio) > ($2::integer, $3::smallint)
   order by hop, prio, ready, id limit 1)
  union all
  select m.hop, m.prio, m.ready, m.id from lane l cross join lateral (
    select m.hop, m.prio, m.ready, m.id from bridgehead.message m
    where m.node is null and (m.hop, m.prio) > (l.hop, l.prio)
    order by m.hop, m.prio, m.ready, m.id limit 1) m
)
select hop, prio, ready, id from lane limit $1`

// beforeLanes is before all lanes.
var beforeLanes = lane{hop: math.MinInt32}

// scan finds all lanes, or as many as are kept in memory.
func (s *Store) scan(ctx context.Context) error {
	l := &s.lanes
	l.scanning.Lock()
	defer l.scanning.Unlock()
	w := l.watch()
	defer l.unwatch(w)
	l.mu.Lock()
	l.again = false
	after, most := beforeLanes, l.max()
	if l.next != nil {
		after = *l.next
	}
	l.mu.Unlock()
	began := time.Now()
	found, next, err := s.findLanes(ctx, after, most)
	if err == nil {
		err = s.nameLanes(ctx, found)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.again = true
		return err
	}
	l.begins, l.next = found, next
	for k, p := range *w {
		if b, ok := found[k]; !ok || p.before(b.position) {
			l.set(k, begin{p, true})
		}
	}
	l.scanned, l.took = time.Now(), time.Since(began)
	return nil
}

// findLanes finds at most most lanes after a lane, and then from the first lane on. next is
// the last one of them if there are more.
func (s *Store) findLanes(ctx context.Context, after lane, most int) (found map[lane]begin, next *lane, err error) {
	found = make(map[lane]begin)
	for again := after != beforeLanes; ; again = false {
		n := most - len(found)
		var last lane
		var ls []laneBegin
		err := s.db.tx(ctx, func(b *pgx.Batch) {
			ls = nil
			b.Queue(selectLanes, n, after.hop, after.prio).Query(func(rows pgx.Rows) error {
				l := laneBegin{begin: begin{exact: true}}
				_, err := pgx.ForEachRow(rows, []any{&l.hop, &l.prio, &l.ready, &l.id}, func() error {
					ls = append(ls, l)
					return nil
				})
				return err
			})
		})
		if err != nil {
			return nil, nil, err
		}
		for _, l := range ls {
			found[l.lane], last = l.begin, l.lane
		}
		if len(ls) == n {
			return found, &last, nil
		}
		if !again {
			return found, nil, nil
		}
		after = beforeLanes
	}
}

// nameLanes makes the hops of lanes known, so that a claim can exclude them.
func (s *Store) nameLanes(ctx context.Context, lanes map[lane]begin) error {
	hops := make([]int32, 0, len(lanes))
	for k := range lanes {
		hops = append(hops, k.hop)
	}
	_, err := s.hops.names(ctx, hops)
	return err
}

// selectBegins finds where lanes begin, from a known position on.
const selectBegins = `
select l.n, m.ready, m.id
from unnest($1::integer[], $2::smallint[], $3::bigint[], $4::text[]) with ordinality l (hop, prio, ready, id, n)
cross join lateral (
  select m.ready, m.id from bridgehead.message m
  where m.node is null and m.hop = l.hop and m.prio = l.prio and (m.ready, m.id) >= (l.ready, l.id collate "C")
  order by m.ready, m.id limit 1) m`

// refresh makes the begins exact that are not.
func (s *Store) refresh(ctx context.Context) error {
	for {
		if more, err := s.refreshSome(ctx); !more || err != nil {
			return err
		}
	}
}

// refreshSome does this for some of them. more means that there were any.
func (s *Store) refreshSome(ctx context.Context) (more bool, err error) {
	const most = 1000 // lanes in one transaction
	w := s.lanes.watch()
	defer s.lanes.unwatch(w)
	old := s.lanes.inexact(most)
	if len(old) == 0 {
		return false, nil
	}
	var found map[int]position
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		found = make(map[int]position, len(old))
		p := laneParams(old)
		b.Queue(selectBegins, p.hops, p.prios, p.readys, p.ids).Query(func(rows pgx.Rows) error {
			var n int
			var at position
			_, err := pgx.ForEachRow(rows, []any{&n, &at.ready, &at.id}, func() error {
				found[n-1] = at
				return nil
			})
			return err
		})
	})
	if err != nil {
		return false, err
	}
	for i, o := range old {
		at, ok := found[i]
		s.lanes.moved(w, o.lane, o.position, begin{at, true}, ok)
	}
	return true, nil
}
