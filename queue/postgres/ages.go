package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// agesSQL counts the addresses of messages by domain and age. The database only has the
// hashes of domains, so it names two messages for each domain, of which one may have
// ended when they are read. The age of a message is the number of the bounds that are
// after its receipt: $4 has them in ascending order. The domains after the first $5
// are counted together, as domain null.
//
//	$1 whether senders are counted   $2 hop, or null   $3 hops that are not counted
const agesSQL = `
with counted as (
	select a.hash >> 32 as domain, cardinality($4::bigint[]) - case when cardinality($4) = 0 then 0 else width_bucket(received, $4) end as age,
		count(*) as n, min(id) as low, max(id) as high
	from bridgehead.message cross join lateral (
		select sender where $1::boolean union all select unnest(rcpts) where not $1) a (hash)
	where ($2::integer is null or hop = $2) and hop <> all ($3::integer[])
	group by 1, 2
), ranked as (
	select domain, min(low) as low, max(high) as high, row_number() over (order by sum(n) desc, domain) <= $5 as named
	from counted group by domain
)
select case when named then domain end, age, sum(n)::bigint, min(r.low), max(r.high)
from counted join ranked r using (domain) group by 1, 2`

// A domainAges is the row of a domain, and two messages that have it.
type domainAges struct {
	row       queue.ShapeRow
	low, high string
}

// AgesByDomain implements [queue.Searcher].
func (s *Store) AgesByDomain(ctx context.Context, q queue.AgeQuery) (rows []queue.ShapeRow, rest queue.ShapeRow, err error) {
	domains, rest, err := s.countAges(ctx, &q)
	if err != nil {
		return nil, rest, err
	}
	names, err := s.domainNames(ctx, &q, domains)
	if err != nil {
		return nil, rest, err
	}
	for hash, d := range domains {
		name, ok := names[hash]
		if !ok { // the messages have ended meanwhile
			addAges(&rest, &d.row)
			continue
		}
		d.row.Domain = name
		rows = append(rows, d.row)
	}
	slices.SortFunc(rows, func(a, b queue.ShapeRow) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Domain, b.Domain))
	})
	return rows, rest, nil
}

func addAges(to, r *queue.ShapeRow) {
	to.Total += r.Total
	for age, n := range r.Ages {
		to.Ages[age] += n
	}
}

// countAges counts by the hashes of domains.
func (s *Store) countAges(ctx context.Context, q *queue.AgeQuery) (domains map[uint32]*domainAges, rest queue.ShapeRow, err error) {
	ages := len(q.Bounds) + 1
	domains, rest.Ages = map[uint32]*domainAges{}, make([]int, ages)
	if err := s.settle(ctx); err != nil {
		return nil, rest, err
	}
	var hop *int32
	if q.Hop != nil {
		id, ok, err := s.hops.find(ctx, *q.Hop)
		if !ok || err != nil {
			return domains, rest, err
		}
		hop = &id
	}
	except, err := s.hopNumbers(ctx, q.Except)
	if err != nil {
		return nil, rest, err
	}
	bounds := make([]int64, len(q.Bounds))
	for i, bound := range q.Bounds {
		bounds[len(bounds)-1-i] = nanos(bound)
	}
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		clear(domains)
		rest = queue.ShapeRow{Ages: make([]int, ages)}
		b.Queue(customPlan)
		b.Queue(agesSQL, q.Sender, hop, except, bounds, q.Most).Query(func(rows pgx.Rows) error {
			var hash *int64
			var age, n int
			var low, high string
			_, err := pgx.ForEachRow(rows, []any{&hash, &age, &n, &low, &high}, func() error {
				row := &rest
				if hash != nil {
					d := domains[uint32(*hash)]
					if d == nil {
						d = &domainAges{row: queue.ShapeRow{Ages: make([]int, ages)}, low: low, high: high}
						domains[uint32(*hash)] = d
					}
					row = &d.row
				}
				row.Total += n
				row.Ages[age] += n
				return nil
			})
			return err
		})
	})
	return domains, rest, err
}

// hopNumbers returns the numbers of the hops that have one. It is not nil.
func (s *Store) hopNumbers(ctx context.Context, hops []queue.NextHop) ([]int32, error) {
	ids := []int32{}
	for _, hop := range hops {
		id, ok, err := s.hops.find(ctx, hop)
		if err != nil {
			return nil, err
		}
		if ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// namesGroup is how many messages are read together to find the names of domains.
const namesGroup = 500

const readAddresses = `select id, envelope, state from bridgehead.message where id = any($1)`

// domainNames finds the names of domains in messages.
func (s *Store) domainNames(ctx context.Context, q *queue.AgeQuery, domains map[uint32]*domainAges) (names map[uint32]string, err error) {
	var ids []string
	for _, d := range domains {
		ids = append(ids, d.low, d.high)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	names = make(map[uint32]string, len(domains))
	for group := range slices.Chunk(ids, namesGroup) {
		err := s.db.tx(ctx, func(b *pgx.Batch) {
			b.Queue(readAddresses, group).Query(func(rows pgx.Rows) error {
				var id string
				var envelope, state []byte
				_, err := pgx.ForEachRow(rows, []any{&id, &envelope, &state}, func() error {
					s.nameDomains(q, id, envelope, state, names)
					return nil
				})
				return err
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

// nameDomains adds the domains of a message to names. A damaged message has none.
func (s *Store) nameDomains(q *queue.AgeQuery, id string, envelope, state []byte, names map[uint32]string) {
	m := &queue.Message{ID: id}
	if decodeEnvelope(m, envelope) != nil {
		return
	}
	if _, err := decodeState(m, state, 0); err != nil {
		return
	}
	for _, address := range q.Addresses(m) {
		domain := queue.AddressDomain(address)
		names[s.hash.domain(domain)] = domain
	}
}
