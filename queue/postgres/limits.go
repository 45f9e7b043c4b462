package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/allot"
)

// This file divides limits among the nodes: see queue.LimitSharer. A call has two
// transactions of one round trip each. The first reads what the nodes have and want.
// From that, the node computes its fair part. The second takes this part, or less if the
// other living nodes have taken more in the meantime. It holds a lock, but never while it
// waits for another node. So the limit is kept even if the first transaction has read old
// values; then only the division is unfair for a short time.
//
// A row of table share has what a node has taken. It counts until the node reports that
// it has less. Rows of nodes that are not alive do not count.

var _ interface {
	queue.LimitSharer
	queue.CountSharer
} = (*Store)(nil)

const (
	// shareLock is the key of the advisory lock.
	shareLock = 0x6272696467656865
	// shareTurn is how long a node keeps the slots that remain after an equal
	// division. Then the next node gets them.
	shareTurn = 5 * time.Second
)

const (
	sqlShares = `select s.key, s.node, s.held, s.want, s.begins, s.served
		from bridgehead.share s join bridgehead.node n on n.id = s.node
		where s.key = any($1::bytea[]) and n.state = 'alive'`
	sqlPaces = `select key, next from bridgehead.pace where key = any($1::bytea[])`

	sqlShareLock = `select pg_advisory_xact_lock($1)`
	// sqlShareCall makes calls of this node take effect in their order, if a network
	// delivers one late.
	sqlShareCall = `update bridgehead.node set shares = $2 where id = $1 and state = 'alive' and shares < $2`
	sqlTakeSlots = `with asked as (
			select d.*, (select coalesce(sum(o.held), 0)
				from bridgehead.share o join bridgehead.node n on n.id = o.node
				where o.key = d.key and o.node <> $1 and n.state = 'alive') as others
			from unnest($3::bytea[], $4::integer[], $5::integer[], $6::integer[], $7::integer[], $8::integer[])
				as d (key, slots, have, part, want, begins))
		insert into bridgehead.share as s (key, node, held, want, begins)
		select key, $1, greatest(have, least(part, slots - others))::integer, want, begins from asked
		where exists (select from bridgehead.node where id = $1 and shares = $2)
		on conflict (key, node) do update set held = excluded.held, want = excluded.want, begins = excluded.begins
		returning key, held`
	sqlGiveBack = `delete from bridgehead.share where node = $1 and key = any($3::bytea[])
		and exists (select from bridgehead.node where id = $1 and shares = $2)`
	// sqlTakeTimes gives the node the next times of rates, if they begin within the
	// horizon. A time that is much further away was written before the clock of the
	// database was set back.
	sqlTakeTimes = `with taken as (
			insert into bridgehead.pace as p (key, next, period)
			select d.key, statement_timestamp() + d.length * interval '1 second', d.period
			from unnest($3::bytea[], $4::float8[], $5::float8[]) as d (key, length, period)
			where exists (select from bridgehead.node where id = $1 and shares = $2)
			on conflict (key) do update set period = excluded.period,
				next = excluded.next + case
					when p.next > statement_timestamp() + (10 + 2 * excluded.period) * interval '1 second' then interval '0'
					else greatest(p.next - statement_timestamp(), interval '0') end
			where p.next <= statement_timestamp() + $6::float8 * interval '1 second'
				or p.next > statement_timestamp() + (10 + 2 * excluded.period) * interval '1 second'
			returning p.key, p.next)
		update bridgehead.share s set served = taken.next from taken
		where s.key = taken.key and s.node = $1
		returning s.key, extract(epoch from taken.next - statement_timestamp())::float8`
)

// A limitKey is the hash of the key of a limit.
type limitKey [16]byte

func hashKey(key string) limitKey {
	sum := sha256.Sum256([]byte(key))
	return limitKey(sum[:16])
}

// A share is a row of table share.
type share struct {
	node               int64
	held, want, begins int
	served             time.Time // zero: never
}

// A shareView is what the first transaction reads.
type shareView struct {
	now    time.Time // the clock of the database
	shares map[limitKey][]share
	next   map[limitKey]time.Time
}

// A take is a demand, and what the node takes or has got.
type take struct {
	queue.LimitDemand
	key   limitKey
	begin int // Begins, no more than can be given at once
	write bool
	part  int // slots to take
	held  int // slots that the row counts
	times int // of the rate, to take
	from  time.Duration
	until time.Duration
}

// maxSlots is the maximum of the numbers of a demand, so that a column can hold them.
const maxSlots = 1 << 30

func newTake(d queue.LimitDemand) take {
	d.Slots, d.Have, d.Want = min(d.Slots, maxSlots), min(d.Have, maxSlots), min(d.Want, maxSlots)
	return take{LimitDemand: d, key: hashKey(d.Key)}
}

// ShareLimits implements [queue.LimitSharer]. The keys must be different.
func (s *Store) ShareLimits(ctx context.Context, demands []queue.LimitDemand) ([]queue.LimitGrant, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if len(demands) > queue.MaxLimitDemands {
		return nil, fmt.Errorf("queue/postgres: %d demands, the maximum is %d", len(demands), queue.MaxLimitDemands)
	}
	node, err := s.node.incarnation()
	if err != nil {
		return nil, err
	}
	takes := make([]take, len(demands))
	keys := make([][]byte, len(demands))
	for i := range demands {
		takes[i] = newTake(demands[i])
		keys[i] = takes[i].key[:]
	}
	v, err := s.readShares(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i := range takes {
		takes[i].plan(v, node)
	}
	if err := s.writeShares(ctx, node, takes); err != nil {
		return nil, err
	}
	grants := make([]queue.LimitGrant, len(demands))
	for i, t := range takes {
		grants[i] = queue.LimitGrant{Slots: max(min(t.part, t.held), 0), From: max(t.from, 0), For: t.until - max(t.from, 0)}
	}
	return grants, nil
}

// readShares reads what all living nodes have of some limits.
func (s *Store) readShares(ctx context.Context, keys [][]byte) (v *shareView, err error) {
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		v = &shareView{shares: map[limitKey][]share{}, next: map[limitKey]time.Time{}}
		b.Queue(sqlClock).QueryRow(func(row pgx.Row) error { return row.Scan(&v.now) })
		b.Queue(sqlShares, keys).Query(func(rows pgx.Rows) error {
			var key []byte
			var r share
			var served *time.Time
			_, err := pgx.ForEachRow(rows, []any{&key, &r.node, &r.held, &r.want, &r.begins, &served}, func() error {
				if r.served = (time.Time{}); served != nil {
					r.served = *served
				}
				v.shares[limitKey(key)] = append(v.shares[limitKey(key)], r)
				return nil
			})
			return err
		})
		b.Queue(sqlPaces, keys).Query(func(rows pgx.Rows) error {
			var key []byte
			var next time.Time
			_, err := pgx.ForEachRow(rows, []any{&key, &next}, func() error {
				v.next[limitKey(key)] = next
				return nil
			})
			return err
		})
	})
	return v, err
}

// plan computes the part of a limit that the node takes.
func (t *take) plan(v *shareView, node int64) {
	all := v.shares[t.key]
	me := slices.IndexFunc(all, func(r share) bool { return r.node == node })
	known := me >= 0
	if t.empty() {
		t.write = known
		return
	}
	if !known {
		me = len(all)
		all = append(all, share{node: node})
	}
	before := all[me]
	t.begin = min(t.Begins, int(min(2*t.Rate, 1<<20))+1)
	if t.Rate <= 0 {
		t.begin = 0
	}
	all[me].want, all[me].begins = t.Want, t.begin
	t.part, t.held = t.slots(all, node, v.now), before.held
	if t.begin > 0 {
		t.times = t.nextTimes(all, node, v)
	}
	t.write = !known || before.want != t.Want || before.begins != t.begin ||
		before.held != max(t.part, t.Have) || t.times > 0
}

func (t *take) empty() bool { return t.Have == 0 && t.Want == 0 && t.Begins == 0 }

// slots returns the fair part of the slots of a node.
func (t *take) slots(all []share, node int64, now time.Time) int {
	slices.SortFunc(all, func(a, b share) int { return cmp.Compare(a.node, b.node) })
	wants := make([]int, len(all))
	for i, r := range all {
		wants[i] = r.want
	}
	return allot.Slots(t.Slots, wants, int(now.Unix()/int64(shareTurn/time.Second)))[indexOf(all, node)]
}

// nextTimes returns how many of the next times of the rate are the node's fair part.
func (t *take) nextTimes(all []share, node int64, v *shareView) int {
	slices.SortFunc(all, func(a, b share) int {
		return cmp.Or(a.served.Compare(b.served), cmp.Compare(a.node, b.node))
	})
	wants := make([]int, len(all))
	for i, r := range all {
		wants[i] = r.begins
	}
	wait := v.next[t.key].Sub(v.now)
	if wait > 10*time.Second+2*allot.Span(t.Rate, 1) {
		wait = 0 // the clock was set back: see sqlTakeTimes
	}
	return allot.Times(t.Rate, wait, wants, indexOf(all, node))
}

func indexOf(all []share, node int64) int {
	return slices.IndexFunc(all, func(r share) bool { return r.node == node })
}

// shareColumns are the parameters of the second transaction.
type shareColumns struct {
	keys                            [][]byte
	slots, have, part, want, begins []int
	ended                           [][]byte
	paced                           [][]byte
	lengths, periods                []float64
	takes                           map[limitKey]*take
}

// columns returns the parameters for the takes that change something, in the order of
// their keys.
func columns(takes []take) (c shareColumns) {
	c.takes = map[limitKey]*take{}
	var order []*take
	for i := range takes {
		if takes[i].write {
			order = append(order, &takes[i])
		}
	}
	slices.SortFunc(order, func(a, b *take) int { return bytes.Compare(a.key[:], b.key[:]) })
	for _, t := range order {
		c.takes[t.key] = t
		if t.empty() {
			c.ended = append(c.ended, t.key[:])
			continue
		}
		c.keys = append(c.keys, t.key[:])
		c.slots, c.have, c.part = append(c.slots, t.Slots), append(c.have, t.Have), append(c.part, t.part)
		c.want, c.begins = append(c.want, t.Want), append(c.begins, t.begin)
		if t.times > 0 {
			c.paced = append(c.paced, t.key[:])
			c.lengths = append(c.lengths, allot.Span(t.Rate, t.times).Seconds())
			c.periods = append(c.periods, allot.Span(t.Rate, 1).Seconds())
		}
	}
	return c
}

// errLateCall means that a later call of ShareLimits was quicker, or the node is dead.
var errLateCall = errors.New("queue/postgres: this node was declared dead, or a later call was quicker")

// writeShares takes parts of limits, and records in takes what it has got.
func (s *Store) writeShares(ctx context.Context, node int64, takes []take) error {
	c := columns(takes)
	if len(c.takes) == 0 {
		return nil
	}
	call, late := s.shareCalls.Add(1), false
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(sqlShareLock, int64(shareLock))
		b.Queue(sqlShareCall, node, call).Exec(func(tag pgconn.CommandTag) error {
			late = tag.RowsAffected() == 0
			return nil
		})
		if len(c.keys) > 0 {
			b.Queue(sqlTakeSlots, node, call, c.keys, c.slots, c.have, c.part, c.want, c.begins).Query(c.slotsTaken)
		}
		if len(c.ended) > 0 {
			b.Queue(sqlGiveBack, node, call, c.ended)
		}
		if len(c.paced) > 0 {
			b.Queue(sqlTakeTimes, node, call, c.paced, c.lengths, c.periods, allot.Horizon.Seconds()).Query(c.timesTaken)
		}
	})
	if err == nil && late {
		return errLateCall
	}
	return err
}

func (c *shareColumns) slotsTaken(rows pgx.Rows) error {
	var key []byte
	var held int
	_, err := pgx.ForEachRow(rows, []any{&key, &held}, func() error {
		c.takes[limitKey(key)].held = held
		return nil
	})
	return err
}

func (c *shareColumns) timesTaken(rows pgx.Rows) error {
	var key []byte
	var until float64
	_, err := pgx.ForEachRow(rows, []any{&key, &until}, func() error {
		t := c.takes[limitKey(key)]
		t.until = time.Duration(until * float64(time.Second))
		t.from = t.until - allot.Span(t.Rate, t.times)
		return nil
	})
	return err
}

// Members implements [queue.LimitSharer]. It returns the number of living nodes.
func (s *Store) Members() int { return max(int(s.node.members.Load()), 1) }
