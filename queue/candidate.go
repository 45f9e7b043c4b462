package queue

import (
	"context"
	"errors"
	"slices"

	"github.com/bridgehead-mail/bridgehead/internal/wildcard"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// A candidate is a message that was read to compare it with a Filter.
type candidate struct {
	entry   *Entry
	message *Message // a copy
	status  MessageStatus

	headerRead         bool
	messageID, subject string
}

// header returns the Message-ID and the Subject. It reads the content once.
func (c *candidate) header() (messageID, subject string) {
	if !c.headerRead {
		c.messageID, c.subject = dsn.IDAndSubject(c.message.Content)
		c.headerRead = true
	}
	return c.messageID, c.subject
}

// examine reads a message and compares it with f. It returns nil if f does not
// select the message, or if the message has ended or is damaged. An active message
// is read from memory.
func (q *Queue) examine(ctx context.Context, f *Filter, e *Entry) (*candidate, error) {
	m, order, isActive := q.activeCopy(e.ID)
	if !isActive {
		var err error
		m, err = q.Store.Get(ctx, e.ID)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil, nil // it has ended
		case errors.Is(err, ErrDamaged) && f.ID == "":
			q.log.Error("queue: a damaged message is skipped", "id", e.ID, "error", err)
			return nil, nil
		case err != nil:
			return nil, err
		}
	}
	c := &candidate{entry: e, message: m, status: q.statusOf(attempted(e, m), order, isActive)}
	if !f.envelope(c) || !wildcard.Match(f.Subject, c.subjectFor(f)) || !q.waitsForHop(ctx, f, c) {
		return nil, nil
	}
	return c, nil
}

// subjectFor returns the Subject if f needs it.
func (c *candidate) subjectFor(f *Filter) string {
	if f.Subject == "" {
		return ""
	}
	_, subject := c.header()
	return subject
}

// attempted returns e with Attempted as it is in the message.
func attempted(e *Entry, m *Message) *Entry {
	known := *e
	known.Attempted = slices.ContainsFunc(m.Recipients, func(r *Recipient) bool { return r.Attempts > 0 })
	return &known
}

// statusOf returns the status of a message. order is the operation that was ordered
// while it is active.
func (q *Queue) statusOf(e *Entry, order Op, isActive bool) MessageStatus {
	s := e.Status(q.clock.wall())
	switch {
	case s != MessageReady && s != MessageRetry && s != MessageHeld:
	case order.what == opSuspend:
		return MessagePendingSuspend
	case order.what == opRemove, order.what == opRemoveReport, order.what == opExpire:
		return MessagePendingRemove
	case isActive:
		return MessageActive
	}
	return s
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

// envelope reports whether f selects the message by its status and its envelope.
func (f *Filter) envelope(c *candidate) bool {
	m := c.message
	return (f.Status == 0 || c.status == f.Status) &&
		(f.From == nullSender && m.From == "" || wildcard.Match(f.From, m.From)) &&
		wildcard.Match(f.Client, m.Origin.ClientAddr) && f.labels(m) && f.recipient(c)
}

// nullSender is Filter.From for the null reverse-path.
const nullSender = "<>"

func (f *Filter) labels(m *Message) bool {
	for key, pattern := range f.Labels {
		if value, ok := m.Options.Labels[key]; !ok || !wildcard.Match(pattern, value) {
			return false
		}
	}
	return true
}

func (f *Filter) recipient(c *candidate) bool {
	if f.Recipient == "" {
		return true
	}
	ended := c.status == MessageBad || c.status == MessageResults
	for _, r := range c.message.Recipients {
		if (ended || r.Status == Waiting) && wildcard.Match(f.Recipient, r.Addr) {
			return true
		}
	}
	return false
}

// waitsForHop reports whether f selects the message by its next hops.
func (q *Queue) waitsForHop(ctx context.Context, f *Filter, c *candidate) bool {
	if f.Hop == nil || c.entry.Schedule.Hop == *f.Hop {
		return true
	}
	waiting := q.waitsFor(ctx, c.message, c.entry.Schedule.Hop)
	for i := range waiting.list {
		if waiting.list[i].hop == *f.Hop {
			return true
		}
	}
	return *f.Hop == finalHop && q.owesResults(c.message) && !aside(c.entry.Schedule.Hop)
}
