package index

import (
	"cmp"
	"context"
	"slices"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// AgesByDomain implements queue.Searcher. The index has only hashes of the domains. So
// it counts by hash, and reads one message for each row to find the name. It needs four
// bytes of memory for each address that it counts.
func AgesByDomain[T any](ctx context.Context, q queue.AgeQuery, locked Locked[T],
	read func(id string) (*queue.Message, error)) (rows []queue.ShapeRow, rest queue.ShapeRow, err error) {
	var hashes []uint32
	err = eachAddress(ctx, &q, locked, func(_ *Index[T], _ Slot, a Address) { hashes = append(hashes, a.domain) })
	if err != nil {
		return nil, rest, err
	}
	counts := newDomainCounts(hashes, &q)
	err = eachAddress(ctx, &q, locked, func(x *Index[T], s Slot, a Address) {
		counts.add(a.domain, x.At(s).Received, func() string { return x.ID(s) })
	})
	if err != nil {
		return nil, rest, err
	}
	for i := range counts.rows {
		r := &counts.rows[i]
		if err := ctx.Err(); err != nil {
			return nil, rest, err
		}
		if r.Total > 0 && !r.findName(&q, read) { // the messages have ended meanwhile
			counts.rest.Total += r.Total
			for age, n := range r.Ages {
				counts.rest.Ages[age] += n
			}
		} else if r.Total > 0 {
			rows = append(rows, r.ShapeRow)
		}
	}
	slices.SortFunc(rows, func(a, b queue.ShapeRow) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Domain, b.Domain))
	})
	return rows, counts.rest, nil
}

// eachAddress calls f for each address that q counts.
func eachAddress[T any](ctx context.Context, q *queue.AgeQuery, locked Locked[T], f func(*Index[T], Slot, Address)) error {
	s := queue.Search{Query: queue.Query{Hop: q.Hop}}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more := ""
		err := locked(func(x *Index[T]) {
			sel := x.selection(&s)
			sel.except = x.numbers(q.Except)
			more = x.visit(sel, func(s Slot) bool {
				if q.Sender {
					f(x, s, x.At(s).from)
					return true
				}
				all := x.noneWaits(s)
				for _, r := range x.recipients(s) {
					if all || !r.ended {
						f(x, s, r.Address)
					}
				}
				return true
			})
		})
		if s.After = more; more == "" || err != nil {
			return err
		}
	}
}

// numbers returns the numbers of hops.
func (x *Index[T]) numbers(hops []queue.NextHop) map[uint32]bool {
	numbers := make(map[uint32]bool)
	for _, hop := range hops {
		if n := x.hops.find(hop); n != 0 {
			numbers[n] = true
		}
	}
	return numbers
}

// domainCounts are the counts of the domains with a row, and the sum of the others.
type domainCounts struct {
	byHash map[uint32]int // indexes in rows
	rows   []domainRow
	rest   queue.ShapeRow
	bounds []int64 // AgeQuery.Bounds
}

type domainRow struct {
	queue.ShapeRow
	hash    uint32
	example string // the ID of a message with this domain
}

// newDomainCounts chooses the domains that get a row. It sorts hashes.
func newDomainCounts(hashes []uint32, q *queue.AgeQuery) *domainCounts {
	slices.Sort(hashes)
	type run struct {
		hash uint32
		n    int
	}
	var runs []run
	for i, h := range hashes {
		if i == 0 || hashes[i-1] != h {
			runs = append(runs, run{hash: h})
		}
		runs[len(runs)-1].n++
	}
	slices.SortFunc(runs, func(a, b run) int { return cmp.Compare(b.n, a.n) })
	c := &domainCounts{byHash: make(map[uint32]int)}
	c.rest.Ages = make([]int, len(q.Bounds)+1)
	for _, bound := range q.Bounds {
		c.bounds = append(c.bounds, nano(bound))
	}
	for i, r := range runs[:min(len(runs), q.Most)] {
		c.byHash[r.hash] = i
		c.rows = append(c.rows, domainRow{hash: r.hash, ShapeRow: queue.ShapeRow{Ages: make([]int, len(q.Bounds)+1)}})
	}
	return c
}

// add counts an address of a message. example returns the ID of the message.
func (c *domainCounts) add(hash uint32, received int64, example func() string) {
	age := 0 // as AgeQuery.Age returns it
	for age < len(c.bounds) && received < c.bounds[age] {
		age++
	}
	row := &c.rest
	if i, ok := c.byHash[hash]; ok {
		r := &c.rows[i]
		if row = &r.ShapeRow; r.example == "" {
			r.example = example()
		}
	}
	row.Total++
	row.Ages[age]++
}

// findName finds the name of the domain in the example, and reports whether it did.
func (r *domainRow) findName(q *queue.AgeQuery, read func(id string) (*queue.Message, error)) bool {
	m, err := read(r.example)
	if err != nil {
		return false
	}
	for _, address := range q.Addresses(m) {
		if HashAddress(address).domain == r.hash {
			r.Domain = queue.AddressDomain(address)
			return true
		}
	}
	return false
}
