package postgres

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A takeover has two steps. The first declares the incarnation dead, unless it has sent
// another heartbeat in the meantime; only one node succeeds. The second frees its
// messages, in groups. All nodes do this together, and repeat it at each beat: a statement
// that the dead node sent before may lease messages afterwards. If it leases messages
// when the row of the node does not exist any more, a sweep finds them.

// takeoverGroup is how many messages one transaction frees.
const takeoverGroup = 1000

// runTakeover takes over the messages of dead nodes until ctx ends.
func (n *node) runTakeover(ctx context.Context) {
	tick := time.NewTicker(n.store.opts.Beat)
	defer tick.Stop()
	var cleaned, swept time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case dead := <-n.dead:
			n.declareDead(ctx, dead)
		case <-tick.C:
		}
		n.takeOver(ctx, sqlEnded)
		if time.Since(swept) > sweepBeats*n.store.opts.Beat {
			n.takeOver(ctx, sqlUnknown)
			swept = time.Now()
		}
		if time.Since(cleaned) > cleanInterval {
			n.clean(ctx)
			cleaned = time.Now()
		}
	}
}

const sqlDeclareDead = `update bridgehead.node set state = 'dead' where id = $1 and beat = $2 and state = 'alive'`

// declareDead declares nodes dead that have sent no heartbeat since.
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

// sqlUnknown finds the incarnations that have messages and no row. It skips through the
// indexes from one incarnation to the next. A node leases messages only after its row is
// committed, so the statement never finds a living node.
const sqlUnknown = `
with recursive leased as (
	(select node as id from bridgehead.message where node is not null order by node limit 1)
	union all
	select (select m.node from bridgehead.message m where m.node > l.id order by m.node limit 1)
	from leased l where l.id is not null
), volatile as (
	(select volatile as id from bridgehead.message where volatile is not null order by volatile limit 1)
	union all
	select (select m.volatile from bridgehead.message m where m.volatile > v.id order by m.volatile limit 1)
	from volatile v where v.id is not null
)
select id, 'unknown' from (select id from leased union select id from volatile) h
where id is not null and not exists (select from bridgehead.node n where n.id = h.id)`

// sweepBeats is how many beats pass between two executions of sqlUnknown. It also reads
// the index entries of messages that were removed, if VACUUM could not remove these.
const sweepBeats = 12

// takeOver frees the messages of the incarnations that sql finds. It frees a group of
// each at a time, and looks for more dead nodes in between: one may die while the
// many messages of another are freed.
func (n *node) takeOver(ctx context.Context, sql string) {
	total := make(map[string]int64)
	for more := true; more; {
		ended, err := n.find(ctx, sql)
		if err != nil {
			break // the db logs it, and the next beat tries again
		}
		more = false
		for _, p := range ended {
			freed, full, _ := n.freeGroup(ctx, p.id)
			total[p.name] += freed
			more = more || full
		}
		select {
		case dead := <-n.dead:
			n.declareDead(ctx, dead)
			more = true
		default:
		}
	}
	for name, freed := range total {
		if freed > 0 {
			n.store.log.Warn("messages of a node that has ended can be delivered by others", "node", name, "messages", freed)
		}
	}
}

// find returns the incarnations that a statement finds.
func (n *node) find(ctx context.Context, sql string) (found []pulse, err error) {
	err = n.store.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(sql).Query(func(rows pgx.Rows) (err error) {
			found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p pulse, err error) {
				return p, row.Scan(&p.id, &p.name)
			})
			return err
		})
	})
	return found, err
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

// freeGroup frees a group of messages that the incarnation has leased, and ends a group
// of its volatile schedules. It returns the number of both. full means that there may be
// more.
func (n *node) freeGroup(ctx context.Context, id int64) (freed int64, full bool, err error) {
	err = n.store.db.tx(ctx, func(b *pgx.Batch) {
		freed, full = 0, false
		for _, sql := range []string{sqlFree, sqlEndVolatile} {
			b.Queue(sql, id, takeoverGroup, n.store.clock.fixedAtOnce()).Exec(func(tag pgconn.CommandTag) error {
				freed += tag.RowsAffected()
				full = full || tag.RowsAffected() == takeoverGroup
				return nil
			})
		}
	})
	if err != nil {
		return 0, false, err
	}
	if freed > 0 {
		n.store.lanes.forget()
		n.incoming.add(queue.Notice{Kind: queue.NoticeMail})
		n.outgoing.add(queue.Notice{Kind: queue.NoticeMail})
	}
	return freed, full, nil
}

// free frees all messages of the incarnation, and returns their number.
func (n *node) free(ctx context.Context, id int64) (freed int64, err error) {
	for full := true; full; {
		var group int64
		if group, full, err = n.freeGroup(ctx, id); err != nil {
			return freed, err
		}
		freed += group
	}
	return freed, nil
}

// cleanInterval is how often the tables of this file are cleaned.
const cleanInterval = time.Minute

// clean removes what is not needed any more.
func (n *node) clean(ctx context.Context) {
	n.store.db.tx(ctx, func(b *pgx.Batch) {
		for _, sql := range cleaning {
			b.Queue(sql)
		}
		b.Queue(limitCounts, maxCounts)
	})
}

// cleaning are the statements of clean. Each is short, and harmless if two nodes run it
// at the same time.
var cleaning = []string{
	`delete from bridgehead.notice where at < clock_timestamp() - interval '1 minute'`,
	// The newest incarnation of a name is kept for a day, and for 30 days if the name is
	// drained, so that a node that drains finds its setting when it comes back. Earlier
	// incarnations are kept for 10 minutes, so that an operator can still see them.
	`delete from bridgehead.node n where state <> 'alive'
		and not exists (select from bridgehead.message m where m.node = n.id)
		and not exists (select from bridgehead.message m where m.volatile = n.id)
		and beat_at < clock_timestamp() - case
			when exists (select from bridgehead.node o where o.name = n.name and o.started > n.started)
				then interval '10 minutes'
			when exists (select from bridgehead.drain d where d.name = n.name) then interval '30 days'
			else interval '1 day' end`,
	// Names that change with each start would otherwise leave many rows for a day.
	`delete from bridgehead.node n where state <> 'alive'
		and not exists (select from bridgehead.message m where m.node = n.id)
		and not exists (select from bridgehead.message m where m.volatile = n.id)
		and not exists (select from bridgehead.drain d where d.name = n.name)
		and id in (select id from bridgehead.node where state <> 'alive' order by beat_at desc offset 1000)`,
	`delete from bridgehead.share s where not exists (
		select from bridgehead.node n where n.id = s.node and n.state = 'alive')`,
	`delete from bridgehead.pace where next < clock_timestamp() - interval '1 minute'`,
	`delete from bridgehead.count where (period + 2) * per < extract(epoch from clock_timestamp())`,
	`delete from bridgehead.drain d where not exists (select from bridgehead.node n where n.name = d.name)`,
}

// maxCounts is the maximum number of counts. A stranger can make many, for example with
// reverse-paths, before their periods are over.
const maxCounts = 1_000_000

// limitCounts deletes the smallest counts, because the limits are for those that are high.
const limitCounts = `delete from bridgehead.count where (select count(*) from bridgehead.count) > $1 and key in (
	select key from bridgehead.count order by messages + messages_before + recipients + recipients_before desc offset $1)`
