package queue

import (
	"context"
	"time"
)

// keepBad keeps what cannot be delivered nor reported for the operator.
func (q *Queue) keepBad(ctx context.Context, m *Message, rcpts []*Recipient, why string) error {
	q.tell(EventBadMail, m, rcpts, func(e *Event) { e.Text = why })
	if q.BadMail != nil {
		return q.BadMail(ctx, m, rcpts)
	}
	id := "bad-" + reportID(m, rcpts, "bad")[len("dsn-"):]
	bad := *m
	bad.ID = id
	bad.Received = time.Now()
	bad.Recipients = rcpts
	err := q.Store.Put(ctx, &bad, Schedule{Due: farFuture, Hop: badMailHop})
	return ignoreExists(err)
}

var farFuture = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
