package queue

import (
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

// A Hook takes part in the taking over of every message, by whichever door it
// comes: SMTP, a Go call, a directory, a report of the Queue's own
// (Message.System). Both functions are called before the message is stored,
// so what they change is stored with it and done once, whatever happens
// later. Fields that are nil take no part.
//
// An error refuses the message, and so does a panic. A *smtp.SMTPError, also a wrapped one,
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
	id, before := m.ID, m.Content
	for _, h := range q.Hooks {
		if err := q.callHook(ctx, h.Name, h.Submitted, m); err != nil {
			return err
		}
	}
	for _, h := range q.Hooks {
		if err := q.callHook(ctx, h.Name, h.Resolved, m); err != nil {
			return err
		}
	}
	m.ID = id // a report must have this ID, whatever the hooks did
	if len(q.Hooks) > 0 && !sameContent(m.Content, before) {
		if err := q.checkHeader(m, false); err != nil {
			return err
		}
	}
	if slices.Contains(m.Recipients, nil) {
		return hookError(errors.New("queue: a hook has left a recipient that is nil"))
	}
	return nil
}

// sameContent reports whether a and b are the same immutable content. For other
// types of Content, which a hook can change in place, it returns false.
func sameContent(a, b Content) bool {
	ca, ok := a.(*content.Content)
	cb, _ := b.(*content.Content)
	return ok && ca == cb
}

func (q *Queue) callHook(ctx context.Context, name string, f func(context.Context, *Message) error, m *Message) error {
	if f == nil {
		return nil
	}
	_, err := guarded(q.log, "hook "+name, func() (struct{}, error) { return struct{}{}, f(ctx, m) })
	if err != nil {
		return hookError(q.readable(err))
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
