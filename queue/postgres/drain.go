package postgres

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
)

const (
	sqlDraining = `select exists (select from bridgehead.drain where name = $1)`
	sqlNodeName = `select exists (select from bridgehead.node where name = $1)
		or exists (select from bridgehead.drain where name = $1)`
	sqlDrain = `insert into bridgehead.drain (name, by, reason)
		select $1, $2, $3 where exists (select from bridgehead.node where name = $1)
		on conflict (name) do update set by = excluded.by, reason = excluded.reason`
	sqlUndrain = `delete from bridgehead.drain where name = $1`
)

// Drain implements [queue.Cluster].
func (s *Store) Drain(ctx context.Context, d queue.Draining) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	var known bool
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(sqlNodeName, d.Node).QueryRow(func(row pgx.Row) error { return row.Scan(&known) })
		if d.Off {
			b.Queue(sqlUndrain, d.Node)
		} else {
			b.Queue(sqlDrain, d.Node, d.By, d.Reason)
		}
		b.Queue(`select pg_notify($1, $2)`, channel, lookPayload) // this node looks too
	})
	if err == nil && !known {
		return queue.ErrNoNode
	}
	s.node.lookNow()
	return err
}

// sqlNodes finds one incarnation of each name: $1, that of this node, or else the
// newest one that is alive, or else the newest one. A node leases with one incarnation,
// but an earlier one may have messages that are being taken over. A process lives if it
// has reported lately, and, if it is not the newest one, after the newest one began.
const sqlNodes = `with held as (
		select node, count(*) as messages from bridgehead.message where node is not null group by node),
	held_by_name as (
		select n.name, sum(messages) as messages from held join bridgehead.node n on n.id = held.node group by n.name),
	newest as (select name, max(started) as started from bridgehead.node group by name),
	living as (
		select n.name, count(*) as processes from bridgehead.node n join newest o on o.name = n.name
		where n.state = 'alive' and n.beat_at > clock_timestamp() - $2 * interval '1 second'
			and (n.beat_at > o.started or n.started = o.started) group by n.name)
	select distinct on (n.name) n.id = $1, n.name, n.state, n.started, n.beat_at,
		greatest(extract(epoch from clock_timestamp() - n.beat_at), 0)::float8,
		coalesce(h.messages, 0)::bigint, coalesce(l.processes, 0)::bigint, n.info, d.by, d.reason, d.since
	from bridgehead.node n
		left join held_by_name h on h.name = n.name
		left join living l on l.name = n.name
		left join bridgehead.drain d on d.name = n.name
	order by n.name, n.id = $1 desc, n.state = 'alive' desc, n.started desc`

// Nodes implements [queue.Cluster].
func (s *Store) Nodes(ctx context.Context) (nodes []queue.Node, err error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(sqlNodes, s.node.id.Load(), s.silentAfter().Seconds()).Query(func(rows pgx.Rows) (err error) {
			nodes, err = pgx.CollectRows(rows, s.scanNode)
			return err
		})
	})
	return nodes, err
}

func (s *Store) scanNode(row pgx.CollectableRow) (n queue.Node, err error) {
	var state string
	var silent float64
	var by, reason *string
	var since *time.Time
	err = row.Scan(&n.This, &n.Name, &state, &n.Started, &n.LastBeat, &silent, &n.Leased, &n.Processes, &n.Info, &by, &reason, &since)
	if err != nil {
		return n, err
	}
	n.Silent = time.Duration(silent * float64(time.Second))
	n.State = s.nodeState(state, n.Silent)
	if since != nil {
		n.Draining = queue.Draining{Node: n.Name, By: *by, Reason: *reason, Since: *since}
	}
	return n, nil
}

// silentAfter is the time after which a node is silent. It may miss one beat.
func (s *Store) silentAfter() time.Duration { return 2 * s.opts.Beat }

// nodeState returns the state for the column state.
func (s *Store) nodeState(column string, silent time.Duration) queue.NodeState {
	switch {
	case column == "dead":
		return queue.NodeDead
	case column == "stopped":
		return queue.NodeStopped
	case silent > s.silentAfter():
		return queue.NodeSilent
	}
	return queue.NodeAlive
}

// Name implements [queue.Cluster].
func (s *Store) Name() string { return s.opts.Node }

// otherProcess follows the name of this node if another process with the same name has
// leased a message: one that runs at the same time, or an earlier one that has ended. The
// Queue must not take it for its own.
const otherProcess = " (another process)"

const sqlHolders = `select m.id, case when n.name = $2 and n.id <> $3 then n.name || $4 else n.name end
	from bridgehead.message m join bridgehead.node n on n.id = m.node
	where m.id = any($1)`

// Holders implements [queue.Cluster].
func (s *Store) Holders(ctx context.Context, ids ...string) ([]string, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	names := make(map[string]string)
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(sqlHolders, ids, s.opts.Node, s.node.id.Load(), otherProcess).Query(func(rows pgx.Rows) error {
			var id, name string
			_, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error {
				names[id] = name
				return nil
			})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	holders := make([]string, len(ids))
	for i, id := range ids {
		holders[i] = names[id]
	}
	return holders, nil
}
