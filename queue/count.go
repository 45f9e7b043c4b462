package queue

import (
	"context"
	"iter"
)

// A MessageCount is the result of [Queue.Count].
type MessageCount struct {
	Messages int
	// Complete means that Messages is the whole number. Otherwise Count has
	// reached a limit, and there are at least Messages.
	Complete bool
	Examined int // how many messages were read
}

// Count counts the messages in the queue that f selects. If the Store is a
// [Searcher], it reads messages only if f has a Subject, Client, Labels or a pattern
// with '*', and those that may wait for f.Hop although they are stored under another
// hop (see [Queue.Messages]). Otherwise it reads each message that f may select. It
// ends when it has reached a limit of l; l.Messages is ignored.
func (q *Queue) Count(ctx context.Context, f Filter, l SearchLimits) (MessageCount, error) {
	return q.countMessages(ctx, f, l, func(MessageStatus) bool { return true })
}

// CountFor counts the messages on which Do would perform op now, as Count does. It
// changes nothing.
func (q *Queue) CountFor(ctx context.Context, f Filter, op Op, l SearchLimits) (MessageCount, error) {
	if op.what == opResume && f.Status == 0 {
		f.Status = MessageSuspended
	}
	return q.countMessages(ctx, f, l, op.concerns)
}

// countMessages counts the messages that f selects and whose status counts.
func (q *Queue) countMessages(ctx context.Context, f Filter, l SearchLimits, counts func(MessageStatus) bool) (n MessageCount, err error) {
	q.setup()
	switch {
	case q.Store == nil:
		return n, errNoStore
	case f.Status != 0 && !counts(f.Status):
		return MessageCount{Complete: true}, nil
	}
	s := q.search(&f)
	if searcher, ok := q.Store.(Searcher); ok && f.indexed() {
		others := s.Also
		s.Also = nil
		if n.Messages, err = q.countIndexed(ctx, searcher, &f, s, counts); err != nil {
			return n, err
		}
		if n.Complete = len(others) == 0; n.Complete {
			return n, nil
		}
		s.Hop, s.Also = &others[0], others[1:]
	}
	b := newBudget(l)
	for e, err := range q.candidates(ctx, &f, s) {
		if err != nil {
			return n, err
		}
		if b.spent() {
			return n, nil
		}
		b.examined++
		n.Examined = b.examined
		c, err := q.examine(ctx, &f, e)
		if err != nil {
			return n, err
		}
		if c != nil && counts(c.status) {
			n.Messages++
		}
	}
	n.Complete = true
	return n, nil
}

// indexed reports whether a Searcher can decide whether f selects a message that is
// stored under f.Hop.
func (f *Filter) indexed() bool {
	return exact(f.From) == f.From && exact(f.Recipient) == f.Recipient && f.inEntry() && !f.active()
}

// inEntry reports whether f has none of the fields that are only in the message,
// except for addresses.
func (f *Filter) inEntry() bool { return f.Subject == "" && f.Client == "" && len(f.Labels) == 0 }

// countIndexed counts the messages that s selects and whose status counts.
func (q *Queue) countIndexed(ctx context.Context, searcher Searcher, f *Filter, s Search, counts func(MessageStatus) bool) (int, error) {
	n, err := searcher.CountMatches(ctx, s)
	if err != nil {
		return 0, err
	}
	var not []Search // what to subtract
	switch f.Status {
	case 0:
		for _, status := range []MessageStatus{MessageSuspended, MessagePoison, MessageBad, MessageResults} {
			if hop := asideHop(status); !counts(status) && (s.Hop == nil || *s.Hop == *hop) {
				one := s
				one.Hop = hop
				not = append(not, one)
			}
		}
	case MessageReady, MessageRetry, MessageHeld: // an active message has another status
		for _, id := range q.activeIDs(f.After) {
			if s.ID == "" || s.ID == id {
				one := s
				one.ID = id
				not = append(not, one)
			}
		}
	}
	for _, one := range not {
		k, err := searcher.CountMatches(ctx, one)
		if err != nil {
			return 0, err
		}
		n -= k
	}
	return max(n, 0), nil
}

// A target is a message that an operation may concern.
type target struct {
	id     string
	hop    NextHop // under which it is stored
	status MessageStatus
}

// targets iterates over the messages that f selects. It reads only those for which
// their entry is not enough.
func (q *Queue) targets(ctx context.Context, f *Filter) iter.Seq2[target, error] {
	return func(yield func(target, error) bool) {
		_, indexed := q.Store.(Searcher) // sets Entry.Attempted
		for e, err := range q.candidates(ctx, f, q.search(f)) {
			if err != nil {
				yield(target{}, err)
				return
			}
			t := target{id: e.ID, hop: e.Schedule.Hop}
			if indexed && f.decided(e) {
				order, isActive := q.activeOrder(e.ID)
				t.status = q.statusOf(e, order, isActive)
				if f.Status != 0 && t.status != f.Status {
					continue
				}
			} else {
				c, err := q.examine(ctx, f, e)
				if err != nil {
					yield(target{}, err)
					return
				}
				if c == nil {
					continue
				}
				t.status = c.status
			}
			if !yield(t, nil) {
				return
			}
		}
	}
}

// decided reports whether f selects the message of an entry without doubt, apart
// from its status. A Searcher compares hashes of addresses, which is not enough for an
// operation.
func (f *Filter) decided(e *Entry) bool {
	return f.From == "" && f.Recipient == "" && f.inEntry() && (f.Hop == nil || e.Schedule.Hop == *f.Hop)
}
