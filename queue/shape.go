package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ShapeOptions are the settings of [Queue.Shape]. The zero value has the defaults.
type ShapeOptions struct {
	// Senders counts messages by the domain of their sender. By default,
	// recipients that wait are counted by their domain.
	Senders bool
	// Parents adds rows for parent domains. The row ".example.com" has the sum of
	// example.com and all domains below it. There is such a row if the sum has
	// more than one domain.
	Parents bool
	// Hop counts only the messages that the store keeps for this hop, as
	// QueueInfo.Stored does. If it is nil, all messages are counted except
	// suspended and poison messages, bad mail and messages that wait only for
	// FinalResults.
	Hop *NextHop
	// Unit is the limit of the first age. Each following limit is twice the one
	// before. Default 5 minutes.
	Unit time.Duration
	// Ages is the number of ages, including the last one, which has no limit.
	// Default 10, at most 32.
	Ages int
	// Rows is the maximum number of rows. Default 50, at most 1000.
	Rows int
}

// A Shape shows how old the mail in the queue is, as the table of Postfix's
// qshape does: a row for each domain, and a column for each age.
type Shape struct {
	// Limits are the limits of the ages: 5, 10, 20, ... minutes. A message of
	// age a is in the first column whose limit is greater than a, or in the last
	// column, which has no limit.
	Limits []time.Duration
	Total  ShapeRow   // all rows together
	Rows   []ShapeRow // by total, highest first
	Rest   ShapeRow   // the domains that have no row
	// Complete is false if not all messages were counted, because the Store is
	// not a Searcher and has too many.
	Complete bool
}

// A ShapeRow has the counts for one domain.
type ShapeRow struct {
	Domain string // in lower case; empty for the null reverse-path and addresses without a domain
	Total  int
	Ages   []int // Total by age
}

func (r *ShapeRow) add(other *ShapeRow) {
	r.Total += other.Total
	for i, n := range other.Ages {
		r.Ages[i] += n
	}
}

// shapeParents is how many domains are read to find their parents. The domains
// with lower counts than these are in Shape.Rest and not in the sums of parents.
const shapeParents = 10_000

// Shape counts the messages in the queue by domain and age. It reads at most one
// message for each row (with Parents, for each of the 10,000 domains with the
// highest counts), and no others, if the Store is a [Searcher]. Otherwise it reads
// messages within the default [SearchLimits].
func (q *Queue) Shape(ctx context.Context, o ShapeOptions) (*Shape, error) {
	q.setup()
	if q.Store == nil {
		return nil, errNoStore
	}
	if o.Unit < 0 || o.Ages < 0 || o.Ages > 32 || o.Rows < 0 || o.Rows > 1000 {
		return nil, errors.New("queue: a ShapeOptions field is out of range")
	}
	unit, ages, most := cmp.Or(o.Unit, 5*time.Minute), cmp.Or(o.Ages, 10), cmp.Or(o.Rows, 50)
	if unit > time.Duration(1<<62)>>ages {
		return nil, fmt.Errorf("queue: ShapeOptions.Unit %v is too long for %d ages", unit, ages)
	}
	s := &Shape{Complete: true}
	query := AgeQuery{Sender: o.Senders, Hop: o.Hop, Most: most}
	if o.Hop == nil {
		query.Except = []NextHop{suspendedHop, poisonHop, badMailHop, finalHop}
	}
	now := q.clock.wall()
	for i := range ages - 1 {
		s.Limits = append(s.Limits, unit<<i)
		query.Bounds = append(query.Bounds, now.Add(-unit<<i).Add(1))
	}
	if o.Parents {
		query.Most = max(most, shapeParents)
	}
	var err error
	if searcher, ok := q.Store.(Searcher); ok {
		s.Rows, s.Rest, err = searcher.AgesByDomain(ctx, query)
	} else {
		s.Rows, s.Rest, s.Complete, err = q.agesByReading(ctx, query)
	}
	if err != nil {
		return nil, err
	}
	s.Total.Ages = make([]int, ages)
	s.Total.add(&s.Rest)
	for i := range s.Rows {
		s.Total.add(&s.Rows[i])
	}
	if o.Parents {
		s.addParents(most)
	}
	return s, nil
}

// addParents adds the rows of parent domains, and leaves the highest rows.
func (s *Shape) addParents(most int) {
	type sum struct {
		ShapeRow
		domains int
	}
	sums := map[string]*sum{}
	for i := range s.Rows {
		r := &s.Rows[i]
		if strings.HasPrefix(r.Domain, "[") { // an address literal
			continue
		}
		for domain := r.Domain; domain != ""; _, domain, _ = strings.Cut(domain, ".") {
			p := sums[domain]
			if p == nil {
				p = &sum{ShapeRow: ShapeRow{Domain: "." + domain, Ages: make([]int, len(r.Ages))}}
				sums[domain] = p
			}
			p.add(r)
			p.domains++
		}
	}
	for _, p := range sums {
		if p.domains > 1 {
			s.Rows = append(s.Rows, p.ShapeRow)
		}
	}
	sortRows(s.Rows)
	for len(s.Rows) > most {
		last := &s.Rows[len(s.Rows)-1]
		if !strings.HasPrefix(last.Domain, ".") { // a parent's domains have rows or are in the rest
			s.Rest.add(last)
		}
		s.Rows = s.Rows[:len(s.Rows)-1]
	}
}

func sortRows(rows []ShapeRow) {
	slices.SortFunc(rows, func(a, b ShapeRow) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Domain, b.Domain))
	})
}

// agesByReading is AgesByDomain for a Store that is not a Searcher. complete is
// false if there were too many messages to read.
func (q *Queue) agesByReading(ctx context.Context, query AgeQuery) (rows []ShapeRow, rest ShapeRow, complete bool, err error) {
	b := newBudget(SearchLimits{})
	byDomain := map[string]*ShapeRow{}
	complete = true
	for e, err := range q.Store.List(ctx, Query{Hop: query.Hop}) {
		if err != nil {
			return nil, rest, false, err
		}
		if slices.Contains(query.Except, e.Schedule.Hop) {
			continue
		}
		if b.spent() {
			complete = false
			break
		}
		b.examined++
		m, err := q.Store.Get(ctx, e.ID)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, rest, false, err
		}
		for _, address := range query.Addresses(m) {
			domain := AddressDomain(address)
			r := byDomain[domain]
			if r == nil {
				r = &ShapeRow{Domain: domain, Ages: make([]int, len(query.Bounds)+1)}
				byDomain[domain] = r
			}
			r.Total++
			r.Ages[query.Age(e.Received)]++
		}
	}
	for _, r := range byDomain {
		rows = append(rows, *r)
	}
	sortRows(rows)
	rest.Ages = make([]int, len(query.Bounds)+1)
	for len(rows) > query.Most {
		rest.add(&rows[len(rows)-1])
		rows = rows[:len(rows)-1]
	}
	return rows, rest, complete, nil
}

// Age returns the index in ShapeRow.Ages for a message.
func (q *AgeQuery) Age(received time.Time) int {
	for i, bound := range q.Bounds {
		if !received.Before(bound) {
			return i
		}
	}
	return len(q.Bounds)
}

// Addresses returns the addresses of a message that q counts: see [Searcher].
func (q *AgeQuery) Addresses(m *Message) []string {
	if q.Sender {
		return []string{m.From}
	}
	var waiting, all []string
	for _, r := range m.Recipients {
		if all = append(all, r.Addr); r.Status == Waiting {
			waiting = append(waiting, r.Addr)
		}
	}
	if len(waiting) > 0 {
		return waiting
	}
	return all
}

// AddressDomain returns the domain of an address in lower case: what follows the
// last '@'. It is empty if there is none.
func AddressDomain(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	return strings.ToLower(address[at+1:])
}
