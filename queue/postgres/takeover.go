package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A takeover has two steps. The first declares the incarnation dead, unless it has
// beaten again in the meantime; only one node succeeds. The second frees its messages,
// in groups. All nodes do this, and repeat it at each beat: a statement that the dead
// node sent before may lease messages afterwards.

// takeoverGroup is how many messages one transaction frees.
const takeoverGroup = 1000

// runTakeover takes over the messages of dead nodes until ctx ends.
func (n *node) runTakeover(ctx context.Context) {
	tick := time.NewTicker(n.store.opts.Beat)
	defer tick.Stop()
	var cleaned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case dead := <-n.dead:
			n.declareDead(ctx, dead)
		case <-tick.C:
		}
		n.freeEnded(ctx)
		if time.Since(cleaned) > cleanInterval {
			n.clean(ctx)
			cleaned = time.Now()
		}
	}
}

const sqlDeclareDead = `update bridgehead.node set state = 'dead' where id = $1 and beat = $2 and state = 'alive'`

// declareDead declares nodes dead that have not beaten since.
func (n *node) declareDead(ctx context.Context, dead []pulse) {
	for _, p := range dead {
		var done bool
		err := n.store.db.tx(ctx, func(b *pgx.Batch) {
			b.Queue(sqlDeclareDead, p.id, p.beat).Exec(func(tag pgconn.CommandTag) error {
				done = tag.RowsAffected() == 1
				return nil
			})
		})
		if err == nil && done {
			n.store.log.Warn("a node is dead, because it has not reported; its messages are taken over",
				"node", p.name, "after", n.store.opts.DeadAfter)
		}
	}
}

// sqlEnded finds the incarnations that have ended and still have messages.
const sqlEnded = `select id, name from bridgehead.node n
	where state <> 'alive' and (exists (select from bridgehead.message where node = n.id)
		or exists (select from bridgehead.message where volatile = n.id))`

// freeEnded frees the messages of the incarnations that have ended.
func (n *node) freeEnded(ctx context.Context) {
	var ended []pulse
	err := n.store.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(sqlEnded).Query(func(rows pgx.Rows) (err error) {
			ended, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p pulse, err error) {
				return p, row.Scan(&p.id, &p.name)
			})
			return err
		})
	})
	if err != nil {
		return // the db logs it, and the next beat tries again
	}
	for _, p := range ended {
		if freed, _ := n.free(ctx, p.id); freed > 0 {
			n.store.log.Warn("messages of a node that has ended can be delivered by others", "node", p.name, "messages", freed)
		}
	}
}

// sqlFree frees a group of messages. It skips those that an open transaction has
// locked: that of the dead node may still end. A message with a due time can be claimed
// since then.
const sqlFree = `with held as (
		select id from bridgehead.message where node = $1 limit $2 for update skip locked),
	present as (select coalesce($3::bigint, bridgehead.nanos()) as now)
	update bridgehead.message m
	set node = null, lease = m.lease + 1, ready = coalesce(m.due, present.now)
	from held, present where m.id = held.id`

// sqlEndVolatile makes a group of messages due whose schedule ends with the incarnation.
const sqlEndVolatile = `with held as (
		select id from bridgehead.message where volatile = $1 limit $2 for update skip locked),
	present as (select coalesce($3::bigint, bridgehead.nanos()) as now)
	update bridgehead.message m set volatile = null, due = null, wait = 0, ready = present.now
	from held, present where m.id = held.id`

// free frees all messages that the incarnation has leased, and returns their number. It
// ends their volatile schedules.
func (n *node) free(ctx context.Context, id int64) (freed int64, err error) {
	for _, sql := range []string{sqlFree, sqlEndVolatile} {
		for group := int64(takeoverGroup); group == takeoverGroup; freed += group {
			err := n.store.db.tx(ctx, func(b *pgx.Batch) {
				b.Queue(sql, id, takeoverGroup, n.store.clock.fixedAtOnce()).Exec(func(tag pgconn.CommandTag) error {
					group = tag.RowsAffected()
					return nil
				})
			})
			if err != nil {
				return freed, err
			}
		}
	}
	if freed > 0 {
		n.store.lanes.forget()
	}
	return freed, nil
}

// cleanInterval is how often the tables of this file are cleaned.
const cleanInterval = time.Minute

// clean removes what nobody needs any more.
func (n *node) clean(ctx context.Context) {
	n.store.db.tx(ctx, func(b *pgx.Batch) {
		for _, sql := range cleaning {
			b.Queue(sql)
		}
	})
}

// cleaning are the statements of clean. Each is short, and harmless if two nodes run it
// at the same time.
var cleaning = []string{
	`delete from bridgehead.notice where at < clock_timestamp() - interval '1 minute'`,
	// The newest incarnation of a name is kept for a day, and for 30 days if the name is
	// drained, so that a node that drains finds its setting when it comes back. Earlier
	// incarnations are kept for 10 minutes, for the log of those who look.
	`delete from bridgehead.node n where state <> 'alive'
		and not exists (select from bridgehead.message m where m.node = n.id)
		and not exists (select from bridgehead.message m where m.volatile = n.id)
		and beat_at < clock_timestamp() - case
			when exists (select from bridgehead.node o where o.name = n.name and o.started > n.started)
				then interval '10 minutes'
			when exists (select from bridgehead.drain d where d.name = n.name) then interval '30 days'
			else interval '1 day' end`,
	`delete from bridgehead.drain d where not exists (select from bridgehead.node n where n.name = d.name)`,
}
