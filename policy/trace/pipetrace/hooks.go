package pipetrace

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// WrapHooks returns hooks that call the given hooks and write snapshots. The
// behavior of the given hooks does not change.
func (t *Tracer) WrapHooks(hooks []queue.Hook) []queue.Hook {
	t.start()
	return wrapHooks(hooks, t.aroundHook)
}

// wrapHooks returns hooks whose events are replaced by around.
func wrapHooks(hooks []queue.Hook, around func(name, hook string, first bool, f hookEvent) hookEvent) []queue.Hook {
	w := append([]queue.Hook(nil), hooks...)
	firstSubmitted, firstResolved := true, true
	for i := range w {
		h := &w[i]
		if f := h.Submitted; f != nil {
			h.Submitted = around("OnSubmittedMessage", h.Name, firstSubmitted, f)
			firstSubmitted = false
		}
		if f := h.Resolved; f != nil {
			h.Resolved = around("OnResolvedMessage", h.Name, firstResolved, f)
			firstResolved = false
		}
	}
	return w
}

type hookEvent = func(context.Context, *queue.Message) error

func (t *Tracer) aroundHook(name, hook string, first bool, f hookEvent) hookEvent {
	return func(ctx context.Context, m *queue.Message) error {
		dir := t.queued(m)
		if dir == nil {
			return f(ctx, m)
		}
		if first {
			t.routing(dir, name+","+original, queueView(m))
		}
		err := f(ctx, m)
		t.routing(dir, name+","+hook, queueView(m))
		return err
	}
}

// queued returns the folder of a message in the queue. A message that did not
// arrive by SMTP has no session: its protocol ID has the ID of the message.
func (t *Tracer) queued(m *queue.Message) *folder {
	return t.folder(m.ID, m.From, func() string { return m.ID + ";" + time.Now().UTC().Format(utc) + ";1" })
}

// Routed is the type of the hook routing.Router.Routed.
type Routed = func(ctx context.Context, m *queue.Message, rcpt *queue.Recipient, hop queue.NextHop) (queue.NextHop, error)

// WrapRouted returns a function that calls f and writes snapshots. name is the
// name of f in the snapshots. The behavior of f does not change. If f is nil, the
// function writes one snapshot and does not change the next hop.
func (t *Tracer) WrapRouted(name string, f Routed) Routed {
	t.start()
	return func(ctx context.Context, m *queue.Message, rcpt *queue.Recipient, hop queue.NextHop) (queue.NextHop, error) {
		return t.routed(ctx, name, f, m, rcpt, hop)
	}
}

func (t *Tracer) routed(ctx context.Context, name string, f Routed, m *queue.Message, rcpt *queue.Recipient, hop queue.NextHop) (queue.NextHop, error) {
	dir := t.queued(m)
	if dir != nil {
		t.routing(dir, "OnRoutedMessage,"+original, queueView(m))
	}
	if f == nil {
		return hop, nil
	}
	hop, err := f(ctx, m, rcpt, hop)
	if dir != nil {
		t.routing(dir, "OnRoutedMessage,"+name, queueView(m))
	}
	return hop, err
}

func queueView(m *queue.Message) view {
	v := view{from: m.From, content: m.Content, size: m.Content.Size()}
	for _, r := range m.Recipients {
		v.rcpts = append(v.rcpts, r.Addr)
	}
	return v
}
