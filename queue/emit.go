package queue

import (
	"context"
	"log/slog"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// emit sends an event about rcpts of m to the subscriptions, and writes a line
// to the log. more, if not nil, sets the fields that depend on the kind.
func (q *Queue) emit(kind EventKind, m *Message, rcpts []*Recipient, more func(*Event)) {
	watched, logged := q.events.watched(), q.logged(kind.level())
	if !watched && !logged {
		return
	}
	e := Event{Time: q.clock.wall(), Kind: kind}
	if m != nil {
		e.ID, e.From, e.Received, e.Origin, e.System, e.Labels = m.ID, m.From, m.Received, m.Origin, m.System, m.Options.Labels
		e.Priority = m.Options.Priority
		e.Size = m.Content.Size()
	}
	for _, r := range rcpts {
		er := EventRecipient{Addr: r.Addr, Status: r.Status}
		if kind != EventReceive {
			er.Reply = resultText(&r.Last)
		}
		e.Recipients = append(e.Recipients, er)
	}
	if more != nil {
		more(&e)
	}
	if watched {
		if m != nil {
			e.MessageID, e.Subject = dsn.IDAndSubject(m.Content)
		}
		q.events.send(e)
	}
	if logged {
		q.logEvent(&e)
	}
}

// level returns the log level of an event. Events that need an operator are
// warnings.
func (k EventKind) level() slog.Level {
	if k == EventPoison || k == EventBadMail || k == EventBadMailRemoved {
		return slog.LevelWarn
	}
	if k == EventTransfer { // its result has a line too
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func (q *Queue) logged(l slog.Level) bool {
	return q.log.Enabled(context.Background(), l)
}

var eventTexts = [...]string{"", "message enqueued", "delivered", "deferred", "failed", "report queued", "list expanded",
	"redirected", "resubmitted", "set aside as poison", "kept as bad mail", "next hop throttled", "report suppressed", "operation", "oldest bad mail removed", "transfer begins"}

// logEvent writes the log line of an event. A message may have thousands of
// recipients, so the line has the first recipient and the number of all.
func (q *Queue) logEvent(e *Event) {
	attrs := make([]slog.Attr, 0, 10)
	if e.ID != "" {
		attrs = append(attrs, slog.String("id", e.ID), slog.String("from", e.From))
	}
	if len(e.Recipients) > 0 {
		r := &e.Recipients[0]
		attrs = append(attrs, slog.String("to", r.Addr), slog.Int("recipients", len(e.Recipients)))
		if r.Reply != "" {
			attrs = append(attrs, slog.String("reply", r.Reply))
		}
	}
	if e.Hop != (NextHop{}) {
		attrs = append(attrs, slog.String("hop", e.Hop.String()))
	}
	for _, a := range [...]struct{ key, value string }{{"host", e.Host}, {"tls", e.TLS}, {"ref", e.Reference}, {"text", e.Text},
		{"by", e.By}, {"reason", e.Reason}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if e.Kind == EventReceive {
		attrs = append(attrs, slog.Int64("size", e.Size))
	}
	if e.Took > 0 {
		attrs = append(attrs, slog.Duration("took", e.Took))
	}
	q.log.LogAttrs(context.Background(), e.Kind.level(), "queue: "+e.title(), attrs...)
}

// title returns the log message of an event. A report that becomes bad mail has
// its own message, because its recipient does not learn of a failure.
func (e *Event) title() string {
	if e.Kind == EventBadMail && e.System {
		return "report could not be delivered, kept as bad mail"
	}
	return eventTexts[e.Kind]
}

// emitReceived sends the events of a message that was enqueued.
func (q *Queue) emitReceived(m *Message) {
	q.emit(EventReceive, m, m.Recipients, nil)
	var members map[string][]*Recipient // by the list
	for _, list := range m.Recipients {
		if list.Status != Expanded {
			continue
		}
		if members == nil {
			members = make(map[string][]*Recipient)
			for _, r := range m.Recipients {
				members[r.Options.OriginalRecipient] = append(members[r.Options.OriginalRecipient], r)
			}
		}
		q.emit(EventExpand, m, members[list.Addr], func(e *Event) { e.Related = list.Addr })
	}
}

// emitAttempt sends the events of an attempt: for the recipients that were
// delivered, and for those that wait again. The event of a failure is sent when
// the failure is reported.
func (q *Queue) emitAttempt(m *Message, hop NextHop, vs []verdict, took time.Duration) {
	q.logRetries(m, hop, vs)
	if !q.events.watched() && !q.logged(slog.LevelInfo) {
		return
	}
	for _, kind := range [...]EventKind{EventSend, EventDefer} {
		var rcpts []*Recipient
		for i := range vs {
			v := &vs[i]
			if v.res != nil && (kind == EventSend && v.status == Delivered || kind == EventDefer && v.status == Waiting) {
				rcpts = append(rcpts, &Recipient{Addr: v.r.Addr, Status: v.status, Last: *v.res})
			}
		}
		if len(rcpts) > 0 {
			q.emit(kind, m, rcpts, func(e *Event) {
				e.Hop, e.Took = hop, took
				e.from(&rcpts[0].Last)
			})
		}
	}
}

func (e *Event) from(r *Result) { e.Host, e.Addr, e.TLS, e.Final = r.Host, r.Addr, r.TLS, r.Final }

// resultText returns the text of a result, on one line.
func resultText(r *Result) string {
	switch {
	case r.Reply.Code != 0:
		return replyText(&r.Reply)
	case r.Err != nil:
		return r.Err.Error()
	}
	return ""
}
