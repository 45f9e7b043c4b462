package postgres

import (
	"cmp"
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
	if err := s.prepareClaim(ctx, &c, nanos(s.clock.databaseLatest())); err != nil {
		return nil, err
	}
	if c.ID != "" {
		return s.claimID(ctx, &c)
	}
	max := max(c.Max, 1)
	if s.lanes.scanDue(false) {
		if err := s.scan(ctx); err != nil {
			return nil, err
		}
	}
	ms, enough, err := s.claimLanes(ctx, &c, max)
	if err == nil && !enough && s.lanes.scanDue(true) {
		if err = s.scan(ctx); err == nil {
			var more []*queue.Message
			more, _, err = s.claimLanes(ctx, &c, max-len(ms))
			ms = append(ms, more...)
		}
	}
	if len(ms) > 0 {
		return ms, nil // an error of a later part of the claim does not end these leases
	}
	return nil, err
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

// claimLanes leases messages of the lanes that are known. enough means that there may be
// more messages, but not for this claim.
func (s *Store) claimLanes(ctx context.Context, c *queue.Claim, max int) (ms []*queue.Message, enough bool, err error) {
	for len(ms) < max {
		got, exhausted, all, err := s.claimChosen(ctx, c, max-len(ms))
		ms = append(ms, got...)
		switch {
		case err != nil || exhausted && all:
			return ms, false, err
		case !exhausted && s.shares(c) > 1 && len(ms) > 0:
			return ms, true, nil
		}
	}
	return ms, true, nil
}

// claimChosen leases the first messages of the lanes that a claim needs. exhausted and all
// are those of take and chooseLanes.
func (s *Store) claimChosen(ctx context.Context, c *queue.Claim, max int) (ms []*queue.Message, exhausted, all bool, err error) {
	w := s.lanes.watch()
	defer s.lanes.unwatch(w)
	chosen, all, err := s.chooseLanes(ctx, c, max)
	if len(chosen) == 0 || err != nil {
		return nil, true, true, err
	}
	ms, exhausted, err = s.take(ctx, c, w, chosen, max)
	return ms, exhausted, all, err
}

// chooseLanes returns the lanes that a claim of max messages needs. all means that there
// are no others that could have messages for it.
func (s *Store) chooseLanes(ctx context.Context, c *queue.Claim, max int) (chosen []laneBegin, all bool, err error) {
	for {
		sel, ok, err := s.selection(ctx, c)
		if err != nil || !ok {
			return nil, true, err
		}
		now := nanos(s.clock.databaseLatest())
		chosen, all = s.lanes.choose(sel, now, max, c.LeastUrgent)
		if len(chosen) > 2*max {
			// Many lanes have a begin that is not exact.
			if err := s.refresh(ctx); err != nil {
				return nil, false, err
			}
			chosen, all = s.lanes.choose(sel, now, max, c.LeastUrgent)
		}
		n := len(chosen)
		if chosen, err = s.excluded(ctx, c, chosen); err != nil || len(chosen) > 0 || n == 0 || all {
			return chosen, all, err
		}
		// Now the names of these hops are known, so the next selection is without them.
	}
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

// leastShare is the number of messages that a claim takes although other nodes could
// claim them too.
const leastShare = 8

// shares returns into how many parts the messages that a claim finds are divided. It
// takes one part, so that the other living nodes find some when they claim.
func (s *Store) shares(c *queue.Claim) int {
	if c.Only != nil {
		return 1
	}
	return max(1, int(s.node.members.Load()))
}

// inlineContent is how many bytes of content are read together with the messages of
// one claim. The rest is read when it is used.
const inlineContent = 4 << 20

// The columns of a leased message, with the first chunk of its content. OFFSET 0 and
// ARRAY in the statements below are for the planner, which knows too little about the
// sizes of the parts: it must always look rows up in their indexes.
const claimedColumns = `
select m.id, m.hop, m.prio, m.ready, m.due, m.wait, m.lease, m.interrupted, m.size, m.content, m.envelope, m.state, ` + selectParts + `, k.data, k.crc
from (select m.*, sum(m.size) over (order by m.size rows unbounded preceding) as total from claimed m) m
left join lateral (
  select k.data, k.crc from bridgehead.content k
  where k.slot = m.slot and k.key = m.content and k.n = 0 and m.size > 0 and m.total <= $1::bigint offset 0) k on true`

// claimLanesSQL leases the first messages of lanes. Part found has the first ones, without
// locks, in the order of Claim; the order of priorities is $9 * prio. Part wanted is how
// many of each lane are in the share of this node, which is one of $10, and at least $11.
// If there is one lane and one share, part found is not needed.
//
// A message whose Due is a time of the wall clock is due when it is due by the clock of
// the database and by that of this node, which is $12. The Queue would otherwise release
// it at once, because for the Queue it is not due.
// Part taken locks as many of each lane, and skips those that another node locks, so no
// node waits for another.
const claimLanesSQL = `
with lane as materialized (
  select l.*, least(coalesce($8::bigint, bridgehead.nanos()), l.until) as now
  from unnest($4::integer[], $5::smallint[], $6::bigint[], $7::text[], $13::bigint[]) with ordinality l (hop, prio, ready, id, until, n)
), found as materialized (
  select l.n, row_number() over (order by $9::integer * l.prio desc, m.ready, l.n) as place
  from lane l cross join lateral (
    select m.ready from bridgehead.message m
    where m.node is null and m.hop = l.hop and m.prio = l.prio
      and (m.ready, m.id) >= (l.ready, l.id collate "C") and m.ready <= l.now
      and (m.due <= $12 or m.due is null or m.wait > 0)
    order by m.ready, m.id limit $3) m
  where cardinality($4) > 1 or $10::integer > 1
  order by place limit $3
), wanted as materialized (
  select n, count(*) as count from found
  where place <= (select greatest(ceil(count(*) / $10::float8), $11::integer) from found)
  group by n
  union all
  select 1, $3 where cardinality($4) = 1 and $10 = 1
), taken as materialized (
  select m.id from wanted w join lane l on l.n = w.n cross join lateral (
    select m.id from bridgehead.message m
    where m.node is null and m.hop = l.hop and m.prio = l.prio
      and (m.ready, m.id) >= (l.ready, l.id collate "C") and m.ready <= l.now
      and (m.due <= $12 or m.due is null or m.wait > 0)
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

// take leases the first messages of lanes: at most max, and a share of them. exhausted
// means that they have no others that can be claimed now.
func (s *Store) take(ctx context.Context, c *queue.Claim, w *watch, lanes []laneBegin, max int) (ms []*queue.Message, exhausted bool, err error) {
	p, urgency, wall := laneParams(lanes), 1, c.Wall
	if c.LeastUrgent {
		urgency = -1
	}
	if wall.IsZero() {
		wall = c.Now
	}
	now, shares := nanos(s.clock.databaseNow()), s.shares(c)
	rows, err := s.lease(ctx, c, func(node int64) (string, []any) {
		return claimLanesSQL, []any{inlineContent, node, max, p.hops, p.prios, p.readys, p.ids, s.clock.fixed(), urgency,
			shares, leastShare, nanos(wall), p.untils}
	})
	if err != nil {
		return nil, false, err
	}
	if exhausted = len(rows) < max; shares > 1 {
		exhausted = len(rows) < min(max, leastShare)
	}
	slices.SortFunc(rows, func(a, b *row) int { return a.compare(b, c.LeastUrgent) })
	s.passed(w, lanes, rows, exhausted, now)
	return s.messages(ctx, rows), exhausted, nil
}

// passed records where lanes begin after rows of them were leased. now is the time of
// the claim.
func (s *Store) passed(w *watch, lanes []laneBegin, rows []*row, exhausted bool, now int64) {
	last := make(map[lane]position)
	for _, r := range rows {
		last[r.lane] = r.position
	}
	for _, l := range lanes {
		at, some := last[l.lane]
		// A row that another node is writing has a time shortly before now.
		end := position{ready: min(now-int64(time.Second), l.until)}
		switch {
		case some:
			s.lanes.moved(w, l.lane, l.position, begin{position{at.ready, at.id + " "}, false}, true)
		case exhausted && l.before(end):
			s.lanes.moved(w, l.lane, l.position, begin{end, false}, true)
		case exhausted:
			s.lanes.moved(w, l.lane, l.position, begin{l.position, false}, true)
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
	for _, r := range rows {
		s.lanes.left(r.hop)
	}
	return s.messages(ctx, rows), nil
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
	partCount     int // see selectParts
	parts         [][]byte
	chunk         []byte // the first of the content, if it was read
	crc           *int32
}

// compare is the order of Claim.
func (r *row) compare(o *row, leastUrgent bool) int {
	return cmp.Or(compareUrgency(r.prio, o.prio, leastUrgent), cmp.Compare(r.ready, o.ready), cmp.Compare(r.id, o.id))
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
					&r.envelope, &r.state, &r.partCount, &r.parts, &r.chunk, &r.crc); err != nil {
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
func (s *Store) messages(ctx context.Context, rows []*row) (ms []*queue.Message) {
	for _, r := range rows {
		if err := s.decode(ctx, r); errors.Is(err, queue.ErrDamaged) {
			s.putAside(ctx, r, err)
			continue
		} else if err != nil { // parts could not be read again
			s.leases.release(r.id, r.number)
			s.leasing.doubt()
			continue
		}
		ms = append(ms, r.m)
	}
	return ms
}

// decode fills in the message of r.
func (s *Store) decode(ctx context.Context, r *row) error {
	if err := decodeEnvelope(r.m, r.envelope); err != nil {
		return err
	}
	if err := s.decodeRecipients(ctx, r); err != nil {
		return err
	}
	r.m.Interrupted += r.interrupted
	r.m.Content = s.storedContent(r.id, r.content, r.size, r.chunk, r.crc)
	return nil
}
