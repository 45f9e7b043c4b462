package queue

import (
	"context"
	"errors"

	"github.com/emersion/go-smtp"
)

// A Hook takes part in the taking over of every message, by whichever door it
// comes: SMTP, a Go call, a directory, a report of the Queue's own
// (Message.System). Both functions are called before the message is stored,
// so what they change is stored with it and done once, whatever happens
// later. Fields that are nil take no part.
//
// An error refuses the message. A *smtp.SMTPError, also a wrapped one,
// becomes the reply to the client, any other 451 4.3.0.
type Hook struct {
	Name string
	// Submitted comes first. It may change all of m but its ID.
	Submitted func(ctx context.Context, m *Message) error
	// Resolved comes when Submitted of all hooks has passed. It may rewrite
	// recipients, expand lists (see [Message.Expand]), add copies and override
	// routes (Recipient.Route).
	Resolved func(ctx context.Context, m *Message) error
}

func (q *Queue) runHooks(ctx context.Context, m *Message) error {
	for _, h := range q.Hooks {
		if h.Submitted != nil {
			if err := h.Submitted(ctx, m); err != nil {
				return hookError(err)
			}
		}
	}
	for _, h := range q.Hooks {
		if h.Resolved != nil {
			if err := h.Resolved(ctx, m); err != nil {
				return hookError(err)
			}
		}
	}
	return nil
}

func hookError(err error) error {
	var se *smtp.SMTPError
	if errors.As(err, &se) {
		return err
	}
	return refuse(451, smtp.EnhancedCode{4, 3, 0}, "Internal error", err)
}
