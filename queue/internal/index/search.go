package index

import (
	"context"
	"iter"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// visitMost is the maximum number of messages that a search looks at before it
// releases the lock of the store.
const visitMost = 16 << 10

// A selection is a search with the values that the index compares.
type selection struct {
	queue.Search
	from, recipient uint32 // hashes
	hops            []uint32
	since, before   int64
	ranged          bool // a time or a size is given
	wall            int64
	except          map[uint32]bool // hops
}

func (x *Index[T]) selection(s *queue.Search) *selection {
	sel := &selection{Search: *s, since: math.MinInt64, before: math.MaxInt64, wall: nano(s.Wall)}
	if !s.Since.IsZero() {
		sel.since = nano(s.Since)
	}
	if !s.Before.IsZero() {
		sel.before = nano(s.Before)
	}
	sel.ranged = s.MinSize > 0 || s.MaxSize > 0 || !s.Since.IsZero() || !s.Before.IsZero()
	if s.From == "<>" {
		sel.from = HashAddress("").address
	} else if s.From != "" {
		sel.from = HashAddress(s.From).address
	}
	sel.recipient = HashAddress(s.Recipient).address
	if s.Hop != nil {
		for _, hop := range append([]queue.NextHop{*s.Hop}, s.Also...) {
			if n := x.hops.find(hop); n != 0 {
				sel.hops = append(sel.hops, n)
			}
		}
	}
	return sel
}

// selects reports whether a search selects a message.
func (x *Index[T]) selects(sel *selection, s Slot) bool {
	e := x.At(s)
	return !e.hidden && e.Size >= sel.MinSize && (sel.MaxSize <= 0 || e.Size <= sel.MaxSize) &&
		e.Received >= sel.since && e.Received < sel.before && !sel.except[e.hop] &&
		(sel.From == "" || e.from.address == sel.from) &&
		x.hasHop(sel, e) && x.hasStatus(sel, e) && x.hasRecipient(sel, s)
}

func (x *Index[T]) hasHop(sel *selection, e *Entry[T]) bool {
	if sel.Hop == nil {
		return true
	}
	for _, n := range sel.hops {
		if n == e.hop {
			return true
		}
	}
	return false
}

func (x *Index[T]) hasStatus(sel *selection, e *Entry[T]) bool {
	switch sel.Status {
	case 0:
		return true
	case queue.MessageReady:
		return e.state == ready || e.state == held && e.due <= sel.wall
	case queue.MessageRetry:
		return e.state == retry
	case queue.MessageHeld:
		return e.state == held && e.due > sel.wall
	}
	return (&queue.Entry{Schedule: queue.Schedule{Hop: x.hops.key(e.hop)}}).Status(sel.Wall) == sel.Status
}

func (x *Index[T]) hasRecipient(sel *selection, s Slot) bool {
	if sel.Recipient == "" {
		return true
	}
	all := x.noneWaits(s)
	for _, r := range x.recipients(s) {
		if r.address == sel.recipient && (all || !r.ended) {
			return true
		}
	}
	return false
}

// A source yields slots in the order of their IDs.
type source interface {
	slot() Slot // the next one, 0 at the end
	next()      // moves to the next one
}

// source returns the shortest list that has all messages that a search selects.
func (x *Index[T]) source(sel *selection) source {
	least, use := x.ids.n, func() source {
		return &inRange[T]{x, x.after(&x.ids, sel.After), sel}
	}
	consider := func(n int, s func() source) {
		if n < least {
			least, use = n, s
		}
	}
	if sel.From != "" {
		consider(x.postingsOf(&x.bySender, sel.from), func() source { return x.having(&x.bySender, sel.from, sel.After) })
	}
	if sel.Recipient != "" {
		consider(x.postingsOf(&x.byRecipient, sel.recipient), func() source { return x.having(&x.byRecipient, sel.recipient, sel.After) })
	}
	if sel.Hop != nil {
		n := 0
		for _, hop := range sel.hops {
			n += x.hops.extra(hop).count
		}
		consider(n, func() source { return x.mergeHops(append([]queue.NextHop{*sel.Hop}, sel.Also...), sel.After) })
	}
	switch sel.Status {
	case queue.MessageReady:
		consider(x.byState[ready].n+x.byState[held].n, func() source {
			return &merge[T]{x, []cursor[Slot]{x.after(&x.byState[ready], sel.After), x.after(&x.byState[held], sel.After)}, -1}
		})
	case queue.MessageRetry:
		consider(x.byState[retry].n, func() source { return &inRange[T]{x, x.after(&x.byState[retry], sel.After), sel} })
	case queue.MessageHeld:
		consider(x.byState[held].n, func() source { return &inRange[T]{x, x.after(&x.byState[held], sel.After), sel} })
	}
	return use()
}

// inRange yields the slots of a list. It skips the blocks in which no message has a time
// of receipt and a size in the ranges of the selection.
type inRange[T any] struct {
	index *Index[T]
	cursor[Slot]
	sel *selection
}

func (c *inRange[T]) slot() Slot {
	for c.ok() {
		if !c.sel.ranged {
			return c.at()
		}
		r := c.index.rangesOf(c.blocks, c.b)
		if r.newest >= c.sel.since && r.oldest < c.sel.before &&
			r.largest >= c.sel.MinSize && (c.sel.MaxSize <= 0 || r.smallest <= c.sel.MaxSize) {
			return c.at()
		}
		c.b, c.i = c.b+1, 0
	}
	return 0
}

func (c *inRange[T]) next() { c.i++ }

// having returns the messages with a posting of hash.
func (x *Index[T]) having(l *blocks[posting], hash uint32, after string) *posted {
	p := &posted{x.firstPosting(l, hash, after), hash}
	for p.slot() != 0 && x.compare(p.slot(), after) == 0 {
		p.next()
	}
	return p
}

// posted yields the slots of the postings of a hash. It yields a slot once, even if it
// has more than one posting.
type posted struct {
	cursor[posting]
	hash uint32
}

func (p *posted) slot() Slot {
	if !p.ok() || p.at().hash != p.hash {
		return 0
	}
	return p.at().slot
}

func (p *posted) next() {
	s := p.slot()
	for p.i++; p.slot() == s; p.i++ {
	}
}

// visit calls f for messages that sel selects, until f returns false. more is
// Query.After for the rest, empty if there is none.
func (x *Index[T]) visit(sel *selection, f func(Slot) bool) (more string) {
	if sel.ID != "" {
		if s, ok := x.Find(sel.ID); ok && sel.ID > sel.After && x.selects(sel, s) {
			f(s)
		}
		return ""
	}
	src := x.source(sel)
	n := 0
	for s := src.slot(); s != 0; s = src.slot() {
		n++
		if x.selects(sel, s) && !f(s) || n == visitMost {
			return x.ID(s)
		}
		src.next()
	}
	return ""
}

// Locked calls f with the index while no other goroutine uses it.
type Locked[T any] func(f func(*Index[T])) error

// Search implements queue.Searcher.
func Search[T any](ctx context.Context, s queue.Search, locked Locked[T]) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		for {
			var page []*queue.Entry
			more := ""
			err := locked(func(x *Index[T]) {
				more = x.visit(x.selection(&s), func(slot Slot) bool {
					page = append(page, x.entry(slot))
					return len(page) < pageMost
				})
			})
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if s.After = more; more == "" {
				return
			}
		}
	}
}

// sum returns the number of messages that a search by hop or by status alone selects,
// without looking at them. ok is false for other searches.
func (x *Index[T]) sum(sel *selection) (n int, ok bool) {
	rest := sel.Search
	rest.Hop, rest.Also, rest.Status, rest.Wall = nil, nil, 0, time.Time{}
	if !reflect.DeepEqual(rest, queue.Search{}) || sel.Hop != nil && sel.Status != 0 {
		return 0, false
	}
	if sel.Hop != nil {
		slices.Sort(sel.hops)
		for _, hop := range slices.Compact(sel.hops) {
			n += x.hops.extra(hop).count
		}
		return n, true
	}
	switch sel.Status {
	case 0:
		return x.count, true
	case queue.MessageRetry:
		return x.byState[retry].n, true
	case queue.MessageReady:
		return x.byState[ready].n, x.byState[held].n == 0
	}
	return 0, false
}

// CountMatches implements queue.Searcher.
func CountMatches[T any](ctx context.Context, s queue.Search, locked Locked[T]) (n int, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		more := ""
		err := locked(func(x *Index[T]) {
			sel := x.selection(&s)
			if sum, ok := x.sum(sel); ok {
				n = sum
				return
			}
			more = x.visit(sel, func(Slot) bool { n++; return true })
		})
		if s.After = more; more == "" || err != nil {
			return n, err
		}
	}
}
