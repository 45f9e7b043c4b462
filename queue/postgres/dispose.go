package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Update implements [queue.Store]. It returns before the change is in the database: see
// changes.go.
func (s *Store) Update(ctx context.Context, owner string, m *queue.Message, sched queue.Schedule) error {
	return s.change(ctx, owner, m.ID, func(c *change) {
		c.setMessage(m, sched, s.clock.due)
		c.recipients, c.part = copyRecipients(m.Recipients), nil
	})
}

// UpdateRecipients implements [queue.RecipientUpdater]. Of a message with many recipients,
// it writes only those that have changed: see parts.go.
func (s *Store) UpdateRecipients(ctx context.Context, owner string, m *queue.Message, changed []int, sched queue.Schedule) error {
	return s.change(ctx, owner, m.ID, func(c *change) {
		c.setMessage(m, sched, s.clock.due)
		switch {
		case c.recipients != nil: // Update waits in the same group
			for _, i := range changed {
				c.recipients[i] = copyRecipient(m.Recipients[i])
			}
		case len(m.Recipients) <= fewRecipients:
			c.recipients = copyRecipients(m.Recipients)
		default:
			if c.part == nil {
				c.part = make(map[int]*queue.Recipient, len(changed))
			}
			for _, i := range changed {
				c.part[i] = copyRecipient(m.Recipients[i])
			}
		}
	})
}

// Remove implements [queue.Store]. It returns before the removal is in the database.
func (s *Store) Remove(ctx context.Context, owner, id string) error {
	return s.change(ctx, owner, id, func(c *change) {
		c.remove, c.recipients, c.part, c.schedule = true, nil, nil, queue.Schedule{}
	})
}

func copyRecipients(rs []*queue.Recipient) []*queue.Recipient {
	cs := make([]*queue.Recipient, len(rs))
	for i, r := range rs {
		cs[i] = copyRecipient(r)
	}
	return cs
}

func copyRecipient(r *queue.Recipient) *queue.Recipient {
	c := *r
	return &c
}

// A change is what Update or Remove records of one message.
type change struct {
	id          string
	node, lease int64 // the lease that the row must still have
	seen        int   // the column interrupted, as the owner of the lease knows it
	remove      bool
	refused     bool // Put has returned an error for this message: see discard
	ended       bool // it is recorded, or given up

	recipients  []*queue.Recipient       // all of them; nil if part has those that have changed
	part        map[int]*queue.Recipient // by their index
	interrupted int
	schedule    queue.Schedule
	hop         int32 // as in the table message, like all below
	prio        int16
	ready       int64
	due         *int64
	wait        int64
}

// size is how many recipients c has.
func (c *change) size() int { return len(c.recipients) + len(c.part) }

func (c *change) setMessage(m *queue.Message, sched queue.Schedule, due func(queue.Schedule) (int64, *int64, int64)) {
	c.interrupted, c.schedule, c.prio = m.Interrupted, sched, priority(m)
	c.ready, c.due, c.wait = due(sched)
}

// change records a change of a message that owner has leased. set changes c, which may be
// a change that waits already.
func (s *Store) change(ctx context.Context, owner, id string, set func(c *change)) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if _, err := s.leaseOf(ctx, owner, id); err != nil {
		return err
	}
	node, err := s.node.incarnation()
	if err != nil {
		return err
	}
	return s.changes.add(ctx, id, func() (*change, error) {
		x, err := s.leases.holds(owner, id)
		return &change{id: id, node: node, lease: x.number, seen: x.interrupted}, err
	}, func(c *change) {
		set(c)
		if c.schedule.Owner != "" {
			s.leases.change(id, c.lease, c.schedule)
		} else {
			s.leases.release(id, c.lease)
		}
	})
}

// discard removes messages whose Put has returned an error. It waits while the group is
// full, like Update, but not longer than the Store is open.
func (s *Store) discard(ctx context.Context, node int64, ids []string) {
	c := &s.changes
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		for ctx.Err() == nil && (c.collecting.full() || c.collecting.has([]string{id})) {
			c.wait(ctx)
		}
		c.insert(&change{id: id, node: node, lease: firstLease, remove: true, refused: true})
	}
}

// recordChanges records the changes of a group. The lease must be the last one of the
// message. Its node may have ended it in the meantime, because it was over.
const recordChanges = `
with updated as (
	update bridgehead.message m
	set hop = new.hop, ready = new.ready, due = new.due, wait = new.wait,
		volatile = case when new.volatile then new.node end, node = case when new.leased then new.node end,
		attempted = new.attempted, rcpts = new.rcpts::bigint[], state = new.state, whole = m.part
	from unnest($2::text[], $3::bigint[], $4::bigint[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[],
		$9::boolean[], $10::boolean[], $11::boolean[], $12::text[], $13::bytea[]) as new (id, node, lease, hop, ready, due,
		wait, volatile, leased, attempted, rcpts, state)
	where m.id = new.id and m.lease = new.lease and (m.node = new.node or m.node is null)
	returning m.id),
parted as (
	update bridgehead.message m
	set hop = new.hop, ready = new.ready, due = new.due, wait = new.wait,
		volatile = case when new.volatile then new.node end, node = case when new.leased then new.node end,
		attempted = m.attempted or new.attempted, part = m.part + 1
	from unnest($17::text[], $18::bigint[], $19::bigint[], $20::integer[], $21::bigint[], $22::bigint[], $23::bigint[],
		$24::boolean[], $25::boolean[], $26::boolean[], $27::bytea[], $28::integer[]) as new (id, node, lease, hop, ready, due,
		wait, volatile, leased, attempted, data, crc)
	where m.id = new.id and m.lease = new.lease and (m.node = new.node or m.node is null)
	returning m.id, m.slot, m.content, m.part, new.data, new.crc),
part as (
	insert into bridgehead.content (slot, key, n, crc, data)
	select slot, content, -part, crc, data from parted),
removed as (
	delete from bridgehead.message m
	using unnest($14::text[], $15::bigint[], $16::bigint[]) as old (id, node, lease)
	where m.id = old.id and m.lease = old.lease and (m.node = old.node or m.node is null)
	returning m.id)
insert into bridgehead.outcome (key, missing)
values ($1, array(
	select n from unnest($2 || $17 || $14) with ordinality as all_ids (id, n)
	where not exists (select from updated where updated.id = all_ids.id)
	and not exists (select from parted where parted.id = all_ids.id)
	and not exists (select from removed where removed.id = all_ids.id)))
returning missing`

// A changeRows is a group of changes as the parameters of recordChanges.
type changeRows struct {
	updated, parted, removed []*change // in the order of missing
	args                     []any
}

// changeRows encodes changes. It may need the database to find the numbers of next hops.
func (s *Store) changeRows(ctx context.Context, cs []*change) (*changeRows, error) {
	rows := new(changeRows)
	for _, c := range cs {
		switch {
		case c.remove:
			rows.removed = append(rows.removed, c)
		case c.recipients == nil:
			rows.parted = append(rows.parted, c)
		default:
			rows.updated = append(rows.updated, c)
		}
	}
	updated, err := s.updateColumns(ctx, rows.updated)
	if err != nil {
		return nil, err
	}
	parted, err := s.updateColumns(ctx, rows.parted)
	if err != nil {
		return nil, err
	}
	rcpts, states := make([]string, len(rows.updated)), make([][]byte, len(rows.updated))
	for i, c := range rows.updated {
		m := &queue.Message{ID: c.id, Recipients: c.recipients, Interrupted: c.interrupted - c.seen}
		if states[i], err = encodeState(m, c.schedule, s.clock.ahead()); err != nil {
			return nil, &dataError{err}
		}
		rcpts[i] = arrayText(s.hash.recipients(c.recipients))
	}
	parts, crcs := make([][]byte, len(rows.parted)), make([]int32, len(rows.parted))
	for i, c := range rows.parted {
		if parts[i], err = s.encodePart(c.id, c.part, c.interrupted-c.seen); err != nil {
			return nil, &dataError{err}
		}
		crcs[i] = crc(parts[i])
	}
	removedIDs, removedNodes, removedLeases := changeKeys(rows.removed)
	rows.args = slices.Concat(updated, []any{rcpts, states, removedIDs, removedNodes, removedLeases}, parted, []any{parts, crcs})
	return rows, nil
}

// updateColumns returns the columns that all updates have, from id to attempted.
func (s *Store) updateColumns(ctx context.Context, cs []*change) ([]any, error) {
	n := len(cs)
	ids, nodes, leases := changeKeys(cs)
	hops, readies, dues, waits := make([]int32, n), make([]int64, n), make([]*int64, n), make([]int64, n)
	volatiles, leaseds, attempteds := make([]bool, n), make([]bool, n), make([]bool, n)
	for i, c := range cs {
		var err error
		if c.hop, err = s.hops.id(ctx, c.schedule.Hop); err != nil {
			return nil, err
		}
		hops[i], readies[i], dues[i], waits[i] = c.hop, c.ready, c.due, c.wait
		volatiles[i], leaseds[i] = s.clock.resets(c.schedule, c.due), c.schedule.Owner != ""
		attempteds[i] = attempted(c.recipients) || attempted(slices.Collect(maps.Values(c.part)))
	}
	return []any{ids, nodes, leases, hops, readies, dues, waits, volatiles, leaseds, attempteds}, nil
}

func changeKeys(cs []*change) (ids []string, nodes, leases []int64) {
	ids, nodes, leases = make([]string, len(cs)), make([]int64, len(cs)), make([]int64, len(cs))
	for i, c := range cs {
		ids[i], nodes[i], leases[i] = c.id, c.node, c.lease
	}
	return ids, nodes, leases
}

// record runs the transaction of a group of changes. doubt is called if its outcome is
// unknown.
func (s *Store) record(ctx context.Context, cs []*change, doubt func(error)) error {
	rows, err := s.changeRows(ctx, cs)
	if err != nil {
		return err
	}
	g := s.groups.new()
	g.doubt = doubt
	err = s.once(ctx, g, func(b *pgx.Batch) {
		g.queue(b, recordChanges, append([]any{g.key}, rows.args...)...)
	})
	if err != nil {
		return err
	}
	for i, c := range slices.Concat(rows.updated, rows.parted, rows.removed) {
		c.ended = true
		if slices.Contains(g.missing, int64(i+1)) {
			s.unrecorded(c)
		} else if !c.remove && c.schedule.Owner == "" {
			s.lanes.wrote(c.hop, c.prio, c.ready, c.id)
		}
	}
	return nil
}

// unrecorded logs a change of a message that another node has taken over.
func (s *Store) unrecorded(c *change) {
	text := "another node has taken a message over before its result was recorded, and may deliver it again"
	if c.refused {
		text = "another node has taken a message over that was refused to its sender, and may deliver it"
	}
	s.log.Warn("postgres: "+text, "id", c.id)
}
