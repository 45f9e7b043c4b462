package queue

import (
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

// A Hook has functions that the Queue calls before it stores a message. It
// calls them for each message, from any source: SMTP, Submit, the pickup
// folder, or a report of the Queue itself (Message.System). The changes that
// they make are stored with the message, so each change is made only once. A
// nil function is not called.
//
// An error or a panic refuses the message. If the error is or wraps a
// *smtp.SMTPError, that is the reply to the client. Any other error becomes 451
// 4.3.0.
type Hook struct {
	// Name is the name of the hook in logs.
	Name string
	// Submitted is called first. It may change all of m but its ID.
	Submitted func(ctx context.Context, m *Message) error
	// Resolved is called after the Submitted functions of all hooks. It may
	// rewrite recipients, expand lists (see [Message.Expand]), add recipients
	// and set routes (Recipient.Route).
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
	m.ID = id // hooks must not change it: the ID of a report identifies it
	if len(q.Hooks) > 0 && !sameContent(m.Content, before) {
		if err := q.checkHeader(m, false); err != nil {
			return err
		}
	}
	if slices.Contains(m.Recipients, nil) {
		return hookError(errors.New("queue: a hook has set a recipient to nil"))
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
