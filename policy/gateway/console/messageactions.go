package console

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// maxSelected is the maximum number of messages that a request names by their
// IDs. A filter may select any number.
const maxSelected = 1000

// selection selects the messages of an action: by their IDs, by a filter, or
// all.
type selection struct {
	messagesFilter
	IDs []string `param:"id" doc:"The IDs of messages. The filter is not used then."`
	All bool     `param:"all" doc:"Selects all messages of the queue. Without it, an ID or a filter is needed."`
}

// planForMessages returns the plan to perform an operation on the selected
// messages.
func planForMessages(x *call, s selection, verb, text string, op queue.Op) (*plan, error) {
	if len(s.IDs) > 0 {
		return planForIDs(x, s.IDs, verb, text, op)
	}
	if s.IsZero() && !s.All {
		return nil, wrongParameter("id", "no message is selected")
	}
	f, err := s.filter(x)
	if err != nil {
		return nil, err
	}
	x.countedNow(&f.Before)
	count, err := x.console.Gateway.Queue.CountFor(x.ctx(), f, op, queue.SearchLimits{})
	if err != nil {
		return nil, err
	}
	return &plan{
		Title: verb + " all messages that the filter selects", Text: text, Count: count.Messages, AtLeast: !count.Complete, Back: "/messages",
		do: func(ctx context.Context) (int, error) { return x.console.Gateway.Queue.Do(ctx, f, op) },
	}, nil
}

// countedNow sets before, the end of the selection, if the confirmation page is
// next: the action is about the messages that the page counts, and not about those
// that arrive until the operator confirms it.
func (x *call) countedNow(before *time.Time) {
	if before.IsZero() && !x.json && x.form.Get("confirm") != "yes" {
		*before = time.Now().UTC()
		x.form.Set("before", before.Format(time.RFC3339Nano))
	}
}

func planForIDs(x *call, ids []string, verb, text string, op queue.Op) (*plan, error) {
	p := &plan{Text: text, Back: "/messages"}
	for _, id := range ids {
		if err := queue.ValidID(id); err != nil {
			return nil, wrongParameter("id", err.Error())
		}
		switch _, err := x.console.Gateway.Queue.Message(x.ctx(), id); {
		case err == nil, errors.Is(err, queue.ErrDamaged):
			p.Count++
		case !errors.Is(err, queue.ErrNotFound): // it has ended in the meantime
			return nil, err
		}
	}
	p.Title = fmt.Sprintf("%s %d messages", verb, len(ids))
	if len(ids) == 1 {
		if p.Count == 0 {
			return nil, queue.ErrNotFound
		}
		p.Title, p.Back = verb+" the message "+ids[0], "/messages/"+url.PathEscape(ids[0])
	}
	p.do = func(ctx context.Context) (int, error) {
		return doEach(ctx, ids, func(ctx context.Context, id string) (int, error) {
			return x.console.Gateway.Queue.Do(ctx, queue.Filter{ID: id}, op)
		})
	}
	return p, nil
}

// messageAction is the route of an operation without further parameters.
func messageAction(name, summary, verb, text string, op queue.Op) route {
	return action("/messages/"+name, summary, func(x *call, s selection) (*plan, error) {
		p, err := planForMessages(x, s, verb, text, op)
		if err == nil && (name == "expire" || name == "resubmit") {
			p.Back = "/messages" // the message is gone
		}
		return p, err
	})
}

// removeSelection selects messages, and whether their senders get a report.
type removeSelection struct {
	selection
	Report bool `param:"report" doc:"Send a failure report (NDR) to the senders."`
}

func planRemoveMessages(x *call, s removeSelection) (*plan, error) {
	text := "The senders get no report."
	if s.Report {
		text = "The senders get a failure report."
	}
	p, err := planForMessages(x, s.selection, "Remove", text, queue.Remove(s.Report))
	if err == nil {
		p.Back = "/messages" // the message is gone
	}
	return p, err
}

// redirectSelection selects messages, and their new next hop.
type redirectSelection struct {
	selection
	to
}

func planRedirectMessages(x *call, s redirectSelection) (*plan, error) {
	p, err := planForMessages(x, s.selection, "Redirect", "The messages are sent to another next hop. They are not routed.", queue.Redirect(s.to.hop()))
	if err == nil {
		p.Ask, p.Back = s.ask(), "/messages"
	}
	return p, err
}
