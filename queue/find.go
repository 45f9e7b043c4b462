package queue

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// SearchLimits limit the work of one search. A zero field has the default.
type SearchLimits struct {
	Messages int           // maximum length of a page; default 100
	Examined int           // maximum number of messages that are read; default 10,000
	Time     time.Duration // when the search ends at the latest; default 2 s
}

// A MessagePage is a part of the result of a search.
type MessagePage struct {
	Messages []*MessageInfo // in the order of their IDs
	// Next is Filter.After for the next page. It is empty if Complete is true.
	Next string
	// Complete means that no message with a greater ID matches. Otherwise the
	// search has reached one of its limits; the page may be empty.
	Complete bool
	Examined int // how many messages were read
}

// A budget counts the work of a search.
type budget struct {
	SearchLimits
	end      time.Time
	examined int
}

func newBudget(l SearchLimits) *budget {
	l.Messages, l.Examined = cmp.Or(max(l.Messages, 0), 100), cmp.Or(max(l.Examined, 0), 10_000)
	l.Time = cmp.Or(max(l.Time, 0), 2*time.Second)
	return &budget{SearchLimits: l, end: time.Now().Add(l.Time)}
}

// spent reports whether the search must end. A search may always read one
// message, so that repeated searches reach the end.
func (b *budget) spent() bool {
	return b.examined > 0 && (b.examined >= b.Examined || !time.Now().Before(b.end))
}

// Search returns a page of the messages in the queue that f selects, in the order
// of their IDs. It ends when it has reached a limit of l. To continue, set
// f.After to MessagePage.Next. It skips a damaged message and logs it. But if f.ID
// selects a damaged message, it returns ErrDamaged.
func (q *Queue) Search(ctx context.Context, f Filter, l SearchLimits) (*MessagePage, error) {
	q.setup()
	if q.Store == nil {
		return nil, errNoStore
	}
	page, b := new(MessagePage), newBudget(l)
	last := f.After
	for e, err := range q.candidates(ctx, &f, q.search(&f)) {
		if err != nil {
			return nil, err
		}
		if len(page.Messages) == b.Messages || b.spent() {
			page.Next = last
			return page, nil
		}
		b.examined++
		page.Examined, last = b.examined, e.ID
		c, err := q.examine(ctx, &f, e)
		if err != nil {
			return nil, err
		}
		if c != nil {
			page.Messages = append(page.Messages, q.info(ctx, c))
		}
	}
	page.Complete = true
	return page, nil
}

// Messages iterates over the messages in the queue that f selects, in the order
// of their IDs. For a page of n, stop after n messages, and continue later with
// Filter.After set to the last ID. [Queue.Search] limits the number of messages
// that are read. If Filter.Hop is set, Messages reads the messages that are stored
// under that hop, those that wait for several hops or are not routed yet, and those
// that were set aside; it does not look at the mail of other hops. It skips a
// damaged message and logs it. But if Filter.ID selects a damaged message, it
// yields ErrDamaged.
func (q *Queue) Messages(ctx context.Context, f Filter) iter.Seq2[*MessageInfo, error] {
	q.setup()
	return func(yield func(*MessageInfo, error) bool) {
		for c, err := range q.matches(ctx, &f) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(q.info(ctx, c), nil) {
				return
			}
		}
	}
}

// matches iterates over the messages that f selects.
func (q *Queue) matches(ctx context.Context, f *Filter) iter.Seq2[*candidate, error] {
	return func(yield func(*candidate, error) bool) {
		for e, err := range q.candidates(ctx, f, q.search(f)) {
			var c *candidate
			if err == nil {
				c, err = q.examine(ctx, f, e)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if c != nil && !yield(c, nil) {
				return
			}
		}
	}
}

// candidates iterates over the entries of the messages that f may select and s
// selects, in the order of their IDs.
func (q *Queue) candidates(ctx context.Context, f *Filter, s Search) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		if !f.active() {
			q.candidatesOf(ctx, f, s, yield)
			return
		}
		for _, id := range q.activeIDs(f.After) {
			if s.ID = id; (f.ID == "" || f.ID == id) && !q.candidatesOf(ctx, f, s, yield) {
				return
			}
		}
	}
}

// active reports whether f selects only active messages.
func (f *Filter) active() bool {
	return f.Status == MessageActive || f.Status == MessagePendingSuspend || f.Status == MessagePendingRemove
}

// candidatesOf calls yield for the candidates until it returns false. It then
// returns false.
func (q *Queue) candidatesOf(ctx context.Context, f *Filter, s Search, yield func(*Entry, error) bool) bool {
	for e, err := range q.entries(ctx, s) {
		if err != nil {
			yield(nil, err)
			return false
		}
		if s.ID != "" && e.ID > s.ID {
			return true
		}
		if f.entry(e) && !yield(e, nil) {
			return false
		}
	}
	return true
}

// entries iterates over the entries that s selects. If the Store is not a
// Searcher, it yields others too.
func (q *Queue) entries(ctx context.Context, s Search) iter.Seq2[*Entry, error] {
	if searcher, ok := q.Store.(Searcher); ok {
		return searcher.Search(ctx, s)
	}
	if before := s.ID; before != "" {
		s.After = max(s.After, before[:len(before)-1]) // just before it
	}
	return q.Store.List(ctx, s.Query)
}

// search returns what the Store must search for.
func (q *Queue) search(f *Filter) Search {
	s := Search{
		Query: Query{After: f.After}, ID: f.ID, From: exact(f.From), Recipient: exact(f.Recipient),
		MinSize: f.MinSize, MaxSize: f.MaxSize, Since: f.Since, Before: f.Before, Wall: q.clock.wall(),
	}
	switch f.Status {
	case MessageSuspended, MessagePoison, MessageBad, MessageResults:
		s.Hop = asideHop(f.Status)
		return s
	case MessageReady, MessageRetry, MessageHeld:
		s.Status = f.Status
	}
	if f.Hop != nil {
		s.Hop = f.Hop
		// A message that waits for several hops or is not routed yet, and one
		// that was set aside, is stored under another hop.
		switch {
		case aside(*f.Hop):
		case f.Status != 0:
			s.Also = []NextHop{{}}
		default:
			s.Also = []NextHop{{}, suspendedHop, poisonHop, badMailHop}
		}
	}
	return s
}

// asideHop returns the hop under which the messages of a status are stored.
func asideHop(s MessageStatus) *NextHop {
	return map[MessageStatus]*NextHop{
		MessageSuspended: &suspendedHop, MessagePoison: &poisonHop, MessageBad: &badMailHop, MessageResults: &finalHop,
	}[s]
}

// exact returns a pattern that has no '*', and the empty string for other patterns.
func exact(pattern string) string {
	if strings.Contains(pattern, "*") {
		return ""
	}
	return pattern
}

// activeIDs returns the IDs of the active messages after an ID, in order.
func (q *Queue) activeIDs(after string) (ids []string) {
	q.locked(func(core *sched.Scheduler) {
		core.Messages(func(m *sched.Message) {
			if m.ID > after {
				ids = append(ids, m.ID)
			}
		})
	})
	slices.Sort(ids)
	return ids
}
