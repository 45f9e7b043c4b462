package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// startClaims prepares what Claim and Next use.
func (s *Store) startClaims(ctx context.Context) error {
	s.hops.tx = s.db.tx
	s.clock.simulated = s.opts.simulated
	s.leases.incarnation, s.leasing.lost = s.node.incarnation, make(chan struct{}, 1)
	s.background(s.watchLeases)
	s.background(s.watchOrphans)
	return s.watchClock(ctx)
}

// Claim implements [queue.Store].
func (s *Store) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	s.clock.learn(c.Now)
	if err := s.prepareClaim(ctx, &c, nanos(s.clock.databaseNow())); err != nil {
		return nil, err
	}
	if c.ID != "" {
		return s.claimID(ctx, &c)
	}
	sel, ok, err := s.selection(ctx, &c)
	if err != nil || !ok {
		return nil, err
	}
	max := max(c.Max, 1)
	var ms []*queue.Message
	if s.lanes.scanDue(false) {
		if err := s.scan(ctx); err != nil {
			return nil, err
		}
	}
	for scanned := false; ; scanned = true {
		more, err := s.claimLanes(ctx, &c, sel, max-len(ms))
		ms = append(ms, more...)
		// The error of a later part of the claim can wait. What is leased is leased.
		if err != nil && len(ms) == 0 {
			return nil, err
		}
		if err != nil || len(ms) >= max || scanned || !s.lanes.scanDue(true) || s.scan(ctx) != nil {
			return ms, nil
		}
	}
}

// prepareClaim begins a Claim or a Next: afterwards the database shows which messages
// this node has released that are ready at the time by, and which of its leases are over.
func (s *Store) prepareClaim(ctx context.Context, c *queue.Claim, by int64) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := s.settleReleased(ctx, c.ID, by); err != nil {
		return err
	}
	if err := s.endWaits(ctx); err != nil {
		return err
	}
	return s.endLeases(ctx, c.Now)
}

// claimLanes leases messages of the lanes that are known.
func (s *Store) claimLanes(ctx context.Context, c *queue.Claim, sel *selection, max int) (ms []*queue.Message, err error) {
	for len(ms) < max {
		now := nanos(s.clock.databaseNow())
		chosen := s.lanes.choose(sel, now, max-len(ms), c.LeastUrgent)
		if len(chosen) > 2*max {
			// Many lanes have a begin that is not exact.
			if err := s.refresh(ctx); err != nil {
				return ms, err
			}
			chosen = s.lanes.choose(sel, now, max-len(ms), c.LeastUrgent)
		}
		if chosen, err = s.excluded(ctx, c, chosen); len(chosen) == 0 || err != nil {
			return ms, err
		}
		got, damaged, err := s.take(ctx, c, chosen, max-len(ms))
		ms = append(ms, got...)
		if err != nil || len(got)+damaged == 0 {
			return ms, err
		}
	}
	return ms, nil
}

// excluded removes the lanes of hops that c excludes. Usually there are none: see
// selection.
func (s *Store) excluded(ctx context.Context, c *queue.Claim, chosen []laneBegin) ([]laneBegin, error) {
	if c.Only != nil || len(c.Except) == 0 {
		return chosen, nil
	}
	ids := make([]int32, len(chosen))
	for i, l := range chosen {
		ids[i] = l.hop
	}
	names, err := s.hops.names(ctx, ids)
	return slices.DeleteFunc(chosen, func(l laneBegin) bool { return c.Except[names[l.hop]] }), err
}

// inlineContent is how many bytes of content are read together with the messages of
// one claim. The rest is read when it is used.
const inlineContent = 4 << 20

// The columns of a leased message, with the first chunk of its content. OFFSET 0 and
// ARRAY in the statements below are for the planner, which knows too little about the
// sizes of the parts: it must always look rows up in their indexes.
const claimedColumns = `
select m.id, m.hop, m.prio, m.ready, m.due, m.wait, m.lease, m.interrupted, m.size, m.content, m.envelope, m.state, k.data, k.crc
from (select m.*, sum(m.size) over (order by m.size rows unbounded preceding) as total from claimed m) m
left join lateral (
  select k.data, k.crc from bridgehead.content k
  where k.slot = m.slot and k.key = m.content and k.n = 0 and m.size > 0 and m.total <= $1::bigint offset 0) k on true`

// claimLanesSQL leases the first messages of lanes. Part wanted finds how many of each
// lane are among the first ones, without locks. Part taken locks as many of each lane,
// and skips those that another node locks, so that each of several nodes gets some.
// The order of priorities is $9 * prio.
const claimLanesSQL = `
with lane as materialized (
  select l.*, coalesce($8::bigint, bridgehead.nanos()) as now
  from unnest($4::integer[], $5::smallint[], $6::bigint[], $7::text[]) with ordinality l (hop, prio, ready, id, n)
), wanted as materialized (
  select n, count(*) as count from (
    select l.n from lane l cross join lateral (
      select m.ready from bridgehead.message m
      where m.node is null and m.hop = l.hop and m.prio = l.prio
        and (m.ready, m.id) >= (l.ready, l.id collate "C") and m.ready <= l.now
      order by m.ready, m.id limit $3) m
    order by $9::integer * l.prio desc, m.ready limit $3) m
  group by n
), taken as materialized (
  select m.id from wanted w join lane l on l.n = w.n cross join lateral (
    select m.id from bridgehead.message m
    where m.node is null and m.hop = l.hop and m.prio = l.prio
      and (m.ready, m.id) >= (l.ready, l.id collate "C") and m.ready <= l.now
    order by m.ready, m.id limit w.count for update skip locked) m
), claimed as (
  update bridgehead.message m set node = $2, lease = m.lease + 1, volatile = null
  where m.id = any(array(select id from taken))
  returning m.*
)` + claimedColumns

// claimIDSQL leases one message, which is not leased, or which this node has leased
// with number $4. Then the number stays: if the answer is lost, the lease is still valid.
// The message may not be due, so column volatile stays.
const claimIDSQL = `
with claimed as (
  update bridgehead.message m set node = $2, lease = case when m.node = $2 and m.lease = $4 then m.lease else m.lease + 1 end
  where m.id = $3 and (m.node is null or m.node = $2 and m.lease = $4)
  returning m.*
)` + claimedColumns

// take leases the first max messages of lanes. damaged is how many messages it has put
// aside.
func (s *Store) take(ctx context.Context, c *queue.Claim, lanes []laneBegin, max int) (ms []*queue.Message, damaged int, err error) {
	p, urgency := laneParams(lanes), 1
	if c.LeastUrgent {
		urgency = -1
	}
	now := nanos(s.clock.databaseNow())
	rows, err := s.lease(ctx, c, func(node int64) (string, []any) {
		return claimLanesSQL, []any{inlineContent, node, max, p.hops, p.prios, p.readys, p.ids, s.clock.fixed(), urgency}
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(rows, func(a, b *row) int { return a.compare(b, c.LeastUrgent) })
	s.passed(lanes, rows, max, now)
	ms, damaged = s.messages(ctx, rows)
	return ms, damaged, nil
}

// passed records where lanes begin after rows of them were leased. now is the time of
// the claim.
func (s *Store) passed(lanes []laneBegin, rows []*row, max int, now int64) {
	last := make(map[lane]position)
	for _, r := range rows {
		last[r.lane] = r.position
	}
	// If there are fewer rows than wanted, all lanes are exhausted for now. A row that
	// another node is writing has a time shortly before now.
	exhausted := position{ready: now - int64(time.Second)}
	for _, l := range lanes {
		at, some := last[l.lane]
		switch {
		case some:
			s.lanes.moved(l.lane, l.position, begin{position{at.ready, at.id + " "}, false}, true)
		case len(rows) < max && l.before(exhausted):
			s.lanes.moved(l.lane, l.position, begin{exhausted, false}, true)
		case len(rows) < max:
			s.lanes.moved(l.lane, l.position, begin{l.position, false}, true)
		}
	}
}

// claimID leases the message c.ID.
func (s *Store) claimID(ctx context.Context, c *queue.Claim) ([]*queue.Message, error) {
	number := int64(-1)
	if x, ok := s.leases.find(c.ID); ok && !x.ended {
		if x.schedule.Owner != c.Owner {
			return nil, nil
		}
		number = x.number
	}
	rows, err := s.lease(ctx, c, func(node int64) (string, []any) {
		return claimIDSQL, []any{inlineContent, node, c.ID, number}
	})
	if err != nil {
		return nil, err
	}
	ms, _ := s.messages(ctx, rows)
	return ms, nil
}

// A row is a row of message that this node has leased.
type row struct {
	m *queue.Message
	lane
	position
	due           *int64
	wait          int64
	number        int64 // of the lease
	interrupted   int   // to add to that of the state
	size, content int64
	envelope      []byte
	state         []byte
	chunk         []byte // the first of the content, if it was read
	crc           *int32
}

// compare is the order of Claim.
func (r *row) compare(o *row, leastUrgent bool) int {
	urgency := int(o.prio) - int(r.prio)
	switch {
	case urgency != 0 && leastUrgent:
		return -urgency
	case urgency != 0:
		return urgency
	case r.before(o.position):
		return -1
	}
	return 1
}

// lease runs a statement that leases messages, and adds the leases of c.Owner.
func (s *Store) lease(ctx context.Context, c *queue.Claim, statement func(node int64) (string, []any)) ([]*row, error) {
	defer s.leasing.begin()()
	node, err := s.node.incarnation()
	if err != nil {
		return nil, err
	}
	var rows []*row
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		rows = nil
		sql, args := statement(node)
		b.Queue(sql, args...).Query(func(rs pgx.Rows) error {
			for rs.Next() {
				r := &row{m: new(queue.Message)}
				if err := rs.Scan(&r.m.ID, &r.hop, &r.prio, &r.ready, &r.due, &r.wait, &r.number, &r.interrupted, &r.size, &r.content,
					&r.envelope, &r.state, &r.chunk, &r.crc); err != nil {
					return err
				}
				r.id = r.m.ID
				rows = append(rows, r)
			}
			return rs.Err()
		})
	})
	if err == nil {
		err = s.addLeases(ctx, c, node, rows)
	} else if !errors.Is(err, errOutcomeUnknown) {
		return nil, err
	}
	if err != nil {
		s.leasing.doubt() // the database may have leased messages
		return nil, err
	}
	return rows, nil
}

// addLeases records leases that the database has given to this node, all or none.
func (s *Store) addLeases(ctx context.Context, c *queue.Claim, node int64, rows []*row) error {
	hops := make([]int32, len(rows))
	for i, r := range rows {
		hops[i] = r.hop
	}
	names, err := s.hops.names(ctx, hops)
	for i := 0; i < len(rows) && err == nil; i++ {
		r := rows[i]
		sch := s.clock.schedule(r.due, r.wait)
		sch.Hop, sch.Owner, sch.Until = names[r.hop], c.Owner, c.Until
		err = s.leases.add(node, r.id, r.number, r.interrupted, sch)
	}
	return err
}

// messages decodes rows. Those that are damaged are put aside.
func (s *Store) messages(ctx context.Context, rows []*row) (ms []*queue.Message, damaged int) {
	for _, r := range rows {
		if err := s.decode(r); err != nil {
			damaged++
			s.putAside(ctx, r, err)
			continue
		}
		ms = append(ms, r.m)
	}
	return ms, damaged
}

// decode fills in the message of r.
func (s *Store) decode(r *row) error {
	if err := decodeEnvelope(r.m, r.envelope); err != nil {
		return err
	}
	if _, err := decodeState(r.m, r.state, s.clock.ahead()); err != nil {
		return err
	}
	r.m.Interrupted += r.interrupted
	r.m.Content = s.storedContent(r.id, r.content, r.size, r.chunk, r.crc)
	return nil
}

// moveDamaged moves a message out of the queue, with a copy of its bytes.
const moveDamaged = `
with m as (delete from bridgehead.message where id = $1 and lease = $2 returning *)
insert into bridgehead.damaged (id, envelope, state, content)
select m.id, m.envelope, m.state, (
  select string_agg(k.data, ''::bytea order by k.n) from bridgehead.content k
  where k.slot = m.slot and k.key = m.content and m.size <= 256 << 20)
from m`

// putAside moves a leased message whose envelope cannot be read out of the queue.
func (s *Store) putAside(ctx context.Context, r *row, cause error) {
	err := s.db.tx(ctx, func(b *pgx.Batch) { b.Queue(moveDamaged, r.id, r.number) })
	if err != nil {
		// The lease ends, and the next claim tries again.
		s.log.Error("queue/postgres: a damaged message cannot be moved out of the queue", "id", r.id, "err", err)
		return
	}
	s.leases.release(r.id, r.number)
	s.log.Error("queue/postgres: the envelope of a message is damaged. The message is in the table bridgehead.damaged.",
		"id", r.id, "err", cause)
}
