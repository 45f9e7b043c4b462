package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// listPage is how many entries List reads at a time.
const listPage = 1000

// listSQL and listHopsSQL read a page of entries after the ID $1. Of the messages for
// certain hops, index message_hop finds those that are not leased, without those of other
// hops. The leased ones are at most Limits.Active for each node.
const (
	listSQL = `
select id, hop, prio, due, wait, node, size, received, attempted from bridgehead.message
where id > $1 order by id limit $2`

	listHopsSQL = `
with leased as materialized (
	select id, hop, prio, due, wait, node, size, received, attempted from bridgehead.message
	where node is not null and hop = any($3))
select m.id, m.hop, m.prio, m.due, m.wait, m.node, m.size, m.received, m.attempted from unnest($3::integer[]) h (hop)
cross join lateral (
	select * from bridgehead.message m where m.node is null and m.hop = h.hop and m.id > $1 order by m.id limit $2) m
union all
select * from leased where id > $1
order by id limit $2`
)

// List implements [queue.Store]. A message that another node has leased has the number
// of this node as Schedule.Owner.
func (s *Store) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		hops, ok, err := s.queriedHops(ctx, q)
		if err == nil {
			err = s.settle(ctx)
		}
		for after := q.After; ok && err == nil; {
			var page []*queue.Entry
			if page, err = s.listPage(ctx, after, hops); err != nil {
				break
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
				after = e.ID
			}
			ok = len(page) == listPage
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// queriedHops returns the numbers of the hops that q selects, nil for all. ok is false
// if no message can wait for them.
func (s *Store) queriedHops(ctx context.Context, q queue.Query) (hops []int32, ok bool, err error) {
	if err := s.check(ctx); err != nil {
		return nil, false, err
	}
	if q.Hop == nil {
		return nil, true, nil
	}
	hops, err = s.hopNumbers(ctx, append([]queue.NextHop{*q.Hop}, q.Also...))
	if err != nil {
		return nil, false, err
	}
	slices.Sort(hops)
	hops = slices.Compact(hops) // a hop may be named twice
	return hops, len(hops) > 0, nil
}

// listPage returns the entries after an ID.
func (s *Store) listPage(ctx context.Context, after string, hops []int32) ([]*queue.Entry, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	return s.readEntries(ctx, func(b *pgx.Batch) *pgx.QueuedQuery {
		if hops == nil {
			return b.Queue(listSQL, storableText(after), listPage)
		}
		return b.Queue(listHopsSQL, storableText(after), listPage, hops)
	})
}

// readEntries returns the entries that a query with the columns of listSQL returns.
func (s *Store) readEntries(ctx context.Context, query func(*pgx.Batch) *pgx.QueuedQuery) ([]*queue.Entry, error) {
	var page []*queue.Entry
	var ids []int32
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		page, ids = nil, nil
		query(b).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				e, hop, err := s.scanEntry(rows)
				if err != nil {
					return err
				}
				page, ids = append(page, e), append(ids, hop)
			}
			return rows.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	names, err := s.hops.names(ctx, ids)
	for i, e := range page {
		e.Schedule.Hop = names[ids[i]]
	}
	return page, err
}

// scanEntry reads the columns of listSQL. hop is the number of the hop.
func (s *Store) scanEntry(rows pgx.Rows) (e *queue.Entry, hop int32, err error) {
	var due, node *int64
	var wait, received int64
	var prio int16
	e = new(queue.Entry)
	if err := rows.Scan(&e.ID, &hop, &prio, &due, &wait, &node, &e.Size, &received, &e.Attempted); err != nil {
		return nil, 0, err
	}
	e.Schedule = s.clock.schedule(due, wait)
	e.Priority, e.Received = int(prio), timeOf(received)
	e.Schedule.Owner, e.Schedule.Until = s.holder(e.ID, node)
	return e, hop, nil
}

// holder returns Owner and Until of the schedule of a message that a node has leased.
// Of another node, only that it has the message is known: the message cannot be claimed
// before that node is dead.
func (s *Store) holder(id string, node *int64) (owner string, until time.Time) {
	if node == nil {
		return "", time.Time{}
	}
	if x, ok := s.leases.find(id); ok && !x.ended {
		return x.schedule.Owner, x.schedule.Until
	}
	return fmt.Sprintf("node %x", uint64(*node)), s.clock.queueNow().Add(s.opts.DeadAfter)
}
