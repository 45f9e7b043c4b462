package queue

import (
	"context"
	"errors"
	"iter"
	"maps"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/wildcard"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A Filter selects messages in the queue. A zero field selects all. From,
// Recipient, Subject and Client are patterns: case does not matter, and '*'
// matches any text.
type Filter struct {
	// ID selects one message. After selects messages with a greater ID, for
	// paging.
	ID, After string

	From      string
	Recipient string // one of the waiting recipients; of MessageBad and MessageResults, one of all recipients
	Subject   string
	Client    string // the IP address of the client
	// Labels selects messages that have all of these labels. The values are
	// patterns.
	Labels map[string]string

	MinSize, MaxSize int64
	// Before and Since select by the time of receipt.
	Before, Since time.Time

	Hop    *NextHop
	Status MessageStatus
}

// MessageStatus is the status of a message as a whole.
type MessageStatus uint8

const (
	MessageReady          MessageStatus = iota + 1 // waits for its first attempt
	MessageActive                                  // in memory, to be delivered
	MessageRetry                                   // waits for its next attempt
	MessageHeld                                    // waits for its Release time (FUTURERELEASE)
	MessageSuspended                               // suspended by an operator
	MessagePendingSuspend                          // will be suspended when the attempt has ended
	MessagePendingRemove                           // will be removed when the attempt has ended
	MessagePoison                                  // poison message
	MessageBad                                     // bad mail: can be neither delivered nor reported
	MessageResults                                 // all recipients have ended; waits for Queue.FinalResults
)

// String returns "ready", "active", "retry", "held", "suspended", "pending
// suspend", "pending remove", "poison", "bad mail" or "results".
func (s MessageStatus) String() string {
	return [...]string{"", "ready", "active", "retry", "held", "suspended", "pending suspend", "pending remove", "poison", "bad mail", "results", ""}[min(s, MessageResults+1)]
}

// MessageInfo describes a message in the queue. It is a copy.
type MessageInfo struct {
	ID         string
	From       string
	Recipients []Recipient
	Size       int64
	Received   time.Time
	Release    time.Time
	Priority   int
	Origin     Origin
	System     bool
	Labels     map[string]string // MessageOptions.Labels
	MessageID  string            // of the header
	Subject    string
	Status     MessageStatus
	Hops       []NextHop // the next hops that it waits for
	// Due is when the Queue claims the message next. Expires is when the last
	// of its waiting recipients expires. It is zero if a recipient never
	// expires.
	Due, Expires time.Time

	stored NextHop // the hop in the Schedule of the store
}

// Messages iterates over the messages in the queue that f selects, in the order
// of their IDs. For a page of n, stop after n messages, and continue later with
// Filter.After set to the last ID. Messages reads each message from the store. If
// Filter.Hop is set, it reads the messages that are stored under that hop, those
// that wait for several hops or are not routed yet, and those that were set aside;
// it does not look at the mail of other hops.
// It skips a damaged message and logs it. But if Filter.ID selects a damaged
// message, it yields ErrDamaged.
func (q *Queue) Messages(ctx context.Context, f Filter) iter.Seq2[*MessageInfo, error] {
	q.setup()
	return func(yield func(*MessageInfo, error) bool) {
		query := Query{After: f.After}
		if f.Hop != nil {
			query.Hop = f.Hop
			if !aside(*f.Hop) {
				// A message that waits for several hops or is not routed yet, and
				// one that was set aside, is stored under another hop.
				query.Also = []NextHop{{}, suspendedHop, poisonHop, badMailHop}
			}
		}
		if f.ID != "" && f.After == "" {
			query.After = f.ID[:len(f.ID)-1] // just before it
		}
		for e, err := range q.Store.List(ctx, query) {
			if err != nil {
				yield(nil, err)
				return
			}
			if f.ID != "" && e.ID > f.ID {
				return
			}
			if !f.entry(e) {
				continue
			}
			info, err := q.info(ctx, e)
			if errors.Is(err, ErrNotFound) {
				continue // it has ended
			}
			if errors.Is(err, ErrDamaged) && f.ID == "" {
				q.log.Error("queue: a damaged message is skipped", "id", e.ID, "error", err)
				continue
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if f.message(info) && !yield(info, nil) {
				return
			}
		}
	}
}

// Message returns a description of one message, or ErrNotFound.
func (q *Queue) Message(ctx context.Context, id string) (*MessageInfo, error) {
	for info, err := range q.Messages(ctx, Filter{ID: id}) {
		return info, err
	}
	return nil, ErrNotFound
}

// info describes a message. It reads an active message from memory.
func (q *Queue) info(ctx context.Context, e *Entry) (*MessageInfo, error) {
	m, order, isActive := q.activeCopy(e.ID)
	if !isActive {
		var err error
		if m, err = q.Store.Get(ctx, e.ID); err != nil {
			return nil, err
		}
	}
	info := &MessageInfo{
		ID: m.ID, From: m.From, Size: m.Content.Size(), Received: m.Received, Release: m.Options.Release,
		Priority: m.Options.Priority, Origin: m.Origin, System: m.System, Labels: maps.Clone(m.Options.Labels), Due: q.clock.wallOf(q.clock.dueAt(&e.Schedule)), stored: e.Schedule.Hop,
	}
	info.MessageID, info.Subject = dsn.IDAndSubject(m.Content)
	attempts := 0
	for _, r := range m.Recipients {
		shown := *r
		if r.RetryWait > 0 {
			shown.NextAttempt = q.clock.wallOf(r.NextAttempt)
		}
		info.Recipients = append(info.Recipients, shown)
		attempts = max(attempts, r.Attempts)
	}
	waiting := q.waitsFor(ctx, m, e.Schedule.Hop)
	for i := range waiting.list {
		info.Hops = append(info.Hops, waiting.list[i].hop)
	}
	info.Expires = q.expires(m, waiting)
	if q.owesResults(m) && !aside(e.Schedule.Hop) {
		info.Hops = append(info.Hops, finalHop)
	}
	info.Status = q.statusOfMessage(e, order, isActive, attempts)
	return info, nil
}

func (q *Queue) statusOfMessage(e *Entry, order Op, isActive bool, attempts int) MessageStatus {
	switch e.Schedule.Hop {
	case suspendedHop:
		return MessageSuspended
	case poisonHop:
		return MessagePoison
	case badMailHop:
		return MessageBad
	case finalHop:
		return MessageResults
	}
	switch {
	case order.what == opSuspend:
		return MessagePendingSuspend
	case order.what == opRemove, order.what == opRemoveReport, order.what == opExpire:
		return MessagePendingRemove
	case isActive:
		return MessageActive
	case attempts > 0:
		return MessageRetry
	case q.clock.dueAt(&e.Schedule).After(q.clock.now()):
		return MessageHeld
	}
	return MessageReady
}

// waitsFor groups the waiting recipients by their hops. It omits recipients
// that cannot be routed.
func (q *Queue) waitsFor(ctx context.Context, m *Message, stored NextHop) (gs groups) {
	known := stored != (NextHop{}) && !aside(stored)
	for i, r := range m.Recipients {
		if r.Status != Waiting {
			continue
		}
		hop := r.Route
		if known {
			hop = stored
		} else if hop == (NextHop{}) {
			var err error
			if hop, err = q.callRoute(ctx, m, r); err != nil {
				continue
			}
		}
		gs.add(hop, m.Recipients, i)
	}
	return gs
}

// activeCopy returns a copy of an active message.
func (q *Queue) activeCopy(id string) (m *Message, order Op, ok bool) {
	q.locked(func(core *sched.Scheduler) {
		if am := core.Message(id); am != nil {
			a := activeOf(am)
			m, ok = a.copy(), true
			if a.order != nil {
				order = *a.order
			}
		}
	})
	return m, order, ok
}

// copy returns a copy of the message and its recipients. It is called in a step.
func (a *active) copy() *Message {
	c := *a.m
	c.Recipients = make([]*Recipient, len(a.m.Recipients))
	for i, r := range a.m.Recipients {
		rc := *r
		c.Recipients[i] = &rc
	}
	return &c
}

// entry reports whether f may select the message, as far as its entry in the
// store shows.
func (f *Filter) entry(e *Entry) bool {
	return (f.ID == "" || e.ID == f.ID) &&
		e.Size >= f.MinSize && (f.MaxSize <= 0 || e.Size <= f.MaxSize) &&
		(f.Before.IsZero() || e.Received.Before(f.Before)) &&
		(f.Since.IsZero() || !e.Received.Before(f.Since)) &&
		(f.Hop == nil || e.Schedule.Hop == *f.Hop || e.Schedule.Hop == NextHop{} || aside(e.Schedule.Hop))
}

// message reports whether f selects the message.
func (f *Filter) message(m *MessageInfo) bool {
	if f.Status != 0 && m.Status != f.Status ||
		!wildcard.Match(f.From, m.From) || !wildcard.Match(f.Subject, m.Subject) || !wildcard.Match(f.Client, m.Origin.ClientAddr) {
		return false
	}
	return f.labels(m) && f.recipient(m) && f.hop(m)
}

func (f *Filter) labels(m *MessageInfo) bool {
	for key, pattern := range f.Labels {
		if value, ok := m.Labels[key]; !ok || !wildcard.Match(pattern, value) {
			return false
		}
	}
	return true
}

func (f *Filter) recipient(m *MessageInfo) bool {
	if f.Recipient == "" {
		return true
	}
	for i := range m.Recipients {
		if r := &m.Recipients[i]; (r.Status == Waiting || m.Status == MessageBad || m.Status == MessageResults) && wildcard.Match(f.Recipient, r.Addr) {
			return true
		}
	}
	return false
}

func (f *Filter) hop(m *MessageInfo) bool {
	if f.Hop == nil || m.stored == *f.Hop {
		return true
	}
	for _, h := range m.Hops {
		if h == *f.Hop {
			return true
		}
	}
	return false
}
