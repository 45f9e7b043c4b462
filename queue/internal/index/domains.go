package index

import (
	"cmp"
	"context"
	"slices"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// AgesByDomain implements queue.Searcher. The index has only hashes of the domains. So
// it counts by hash, and reads one or two messages for each row to find the name.
func AgesByDomain[T any](ctx context.Context, q queue.AgeQuery, locked Locked[T],
	read func(id string) (*queue.Message, error)) (rows []queue.ShapeRow, rest queue.ShapeRow, err error) {
	bounds := make([]int64, len(q.Bounds))
	for i, bound := range q.Bounds {
		bounds[i] = nano(bound)
	}
	counts := domainCounts{ages: len(bounds) + 1}
	err = eachAddress(ctx, &q, locked, func(s Slot, received int64, domain uint32) {
		age := 0 // as AgeQuery.Age returns it
		for age < len(bounds) && received < bounds[age] {
			age++
		}
		counts.add(domain, age, s)
	})
	if err != nil {
		return nil, rest, err
	}
	most, others := counts.most(q.Most)
	for _, d := range most {
		if err := ctx.Err(); err != nil {
			return nil, rest, err
		}
		row := counts.sum([]int{d})
		name, known, err := domainName(&counts.domains[d], &q, locked, read)
		if err != nil {
			return nil, rest, err
		}
		if !known { // the messages have ended meanwhile
			others = append(others, d)
			continue
		}
		row.Domain = name
		rows = append(rows, row)
	}
	rest = counts.sum(others)
	slices.SortFunc(rows, func(a, b queue.ShapeRow) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Domain, b.Domain))
	})
	return rows, rest, nil
}

// domainName finds the name of a domain in one of its examples, and reports whether it
// did. Another message may have got the slot of an example in the meantime.
func domainName[T any](d *domainCount, q *queue.AgeQuery, locked Locked[T], read func(id string) (*queue.Message, error)) (name string, known bool, err error) {
	for _, s := range []Slot{d.first, d.last} {
		id := ""
		if err := locked(func(x *Index[T]) {
			if x.At(s).hop != 0 {
				id = x.ID(s)
			}
		}); err != nil {
			return "", false, err
		}
		if id == "" {
			continue
		}
		m, err := read(id)
		if err != nil {
			continue
		}
		for _, address := range q.Addresses(m) {
			if HashAddress(address).domain == d.hash {
				return queue.AddressDomain(address), true, nil
			}
		}
	}
	return "", false, nil
}

// eachAddress calls f for each address that q counts, with the time when its message
// was received and the hash of its domain.
func eachAddress[T any](ctx context.Context, q *queue.AgeQuery, locked Locked[T], f func(s Slot, received int64, domain uint32)) error {
	address := func(x *Index[T], s Slot) {
		e := x.At(s)
		if q.Sender {
			f(s, e.Received, e.from.domain)
			return
		}
		if !e.many {
			f(s, e.Received, e.one[0].domain)
			return
		}
		all := x.noneWaits(s)
		for _, r := range x.recipients(s) {
			if all || !r.ended {
				f(s, e.Received, r.domain)
			}
		}
	}
	if q.Hop == nil {
		return eachShown(ctx, locked, func(x *Index[T]) func(Slot) {
			except := x.numbers(q.Except)
			return func(s Slot) {
				if !except[x.At(s).hop] {
					address(x, s)
				}
			}
		})
	}
	search := queue.Search{Query: queue.Query{Hop: q.Hop}}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more := ""
		err := locked(func(x *Index[T]) {
			sel := x.selection(&search)
			sel.except = x.numbers(q.Except)
			more = x.visit(sel, func(s Slot) bool { address(x, s); return true })
		})
		if search.After = more; more == "" || err != nil {
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
