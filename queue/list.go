package queue

import (
	"context"
	"maps"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A Filter selects messages in the queue. A zero field selects all. From,
// Recipient, Subject and Client are patterns: case does not matter, and '*'
// matches any text.
//
// If the Store is a [Searcher], the Queue reads no message that it can exclude by
// ID, Hop, Status, size, time of receipt, or a From or Recipient without '*'. It
// reads each message that is left to compare the other fields.
type Filter struct {
	// ID selects one message. After selects messages with a greater ID, for
	// paging.
	ID, After string

	From      string // "<>" selects the null reverse-path
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

// Message returns a description of one message, or ErrNotFound.
func (q *Queue) Message(ctx context.Context, id string) (*MessageInfo, error) {
	for info, err := range q.Messages(ctx, Filter{ID: id}) {
		return info, err
	}
	return nil, ErrNotFound
}

// info describes a message.
func (q *Queue) info(ctx context.Context, c *candidate) *MessageInfo {
	m, e := c.message, c.entry
	info := &MessageInfo{
		ID: m.ID, From: m.From, Size: m.Content.Size(), Received: m.Received, Release: m.Options.Release,
		Priority: m.Options.Priority, Origin: m.Origin, System: m.System, Labels: maps.Clone(m.Options.Labels),
		Status: c.status, Due: q.clock.wallOf(q.clock.dueAt(&e.Schedule)), stored: e.Schedule.Hop,
	}
	info.MessageID, info.Subject = c.header()
	for _, r := range m.Recipients {
		shown := *r
		if r.RetryWait > 0 {
			shown.NextAttempt = q.clock.wallOf(r.NextAttempt)
		}
		info.Recipients = append(info.Recipients, shown)
	}
	waiting := q.waitsFor(ctx, m, e.Schedule.Hop)
	for i := range waiting.list {
		info.Hops = append(info.Hops, waiting.list[i].hop)
	}
	info.Expires = q.expires(m, waiting)
	if q.owesResults(m) && !aside(e.Schedule.Hop) {
		info.Hops = append(info.Hops, finalHop)
	}
	return info
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
	q.withActive(id, func(a *active) { m, order, ok = a.copy(), a.ordered(), true })
	return m, order, ok
}

// activeOrder reports whether a message is active, and which operation was ordered.
func (q *Queue) activeOrder(id string) (order Op, ok bool) {
	q.withActive(id, func(a *active) { order, ok = a.ordered(), true })
	return order, ok
}

// withActive calls f, in a step, if a message is active.
func (q *Queue) withActive(id string, f func(*active)) {
	q.locked(func(core *sched.Scheduler) {
		if m := core.Message(id); m != nil {
			f(activeOf(m))
		}
	})
}

// ordered returns the operation to perform when the attempts have ended.
func (a *active) ordered() (order Op) {
	if a.order != nil {
		order = *a.order
	}
	return order
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
