package console

import (
	"cmp"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// messagesFilter selects messages in the queue. All fields that are set must
// match.
type messagesFilter struct {
	Sender      string              `param:"sender" doc:"The reverse-path. * matches any text, and <> the null reverse-path."`
	Recipient   string              `param:"recipient" doc:"A recipient that waits. * matches any text."`
	Subject     string              `param:"subject" doc:"The subject. * matches any text. Not for viewers if subjects are hidden."`
	Client      string              `param:"client" doc:"The IP address of the client. * matches any text."`
	Status      queue.MessageStatus `param:"status" doc:"ready, active, retry, held, suspended, pending suspend, pending remove, poison, bad mail or results."`
	Queue       string              `param:"queue" doc:"The key of a next hop."`
	Connector   string              `param:"connector" doc:"The connector of a next hop, with destination."`
	Destination string              `param:"destination" doc:"The destination of a next hop, with connector."`
	MinSize     int64               `param:"min-size" doc:"The smallest size in bytes."`
	MaxSize     int64               `param:"max-size" doc:"The largest size in bytes."`
	Since       time.Time           `param:"since" doc:"Received at this time or later."`
	Before      time.Time           `param:"before" doc:"Received before this time."`
	Labels      []string            `param:"label" doc:"A label of the message: key=value. * in the value matches any text."`
}

// filter returns the filter of the queue.
func (f *messagesFilter) filter(x *call) (queue.Filter, error) {
	if f.Subject != "" && x.hidesSubjects() {
		return queue.Filter{}, refuse(http.StatusForbidden, "Subjects are hidden from viewers.")
	}
	to := queue.Filter{
		From: f.Sender, Recipient: f.Recipient, Subject: f.Subject, Client: f.Client, Status: f.Status,
		MinSize: f.MinSize, MaxSize: f.MaxSize, Since: f.Since, Before: f.Before,
	}
	if ip, err := netip.ParseAddr(f.Client); err == nil {
		to.Client = ip.String()
	}
	switch {
	case f.Queue != "":
		hop, err := hopOf(f.Queue)
		if err != nil {
			return to, err
		}
		to.Hop = &hop
	case f.Destination != "":
		to.Hop = &queue.NextHop{Connector: f.Connector, Destination: f.Destination}
	case f.Connector != "":
		return to, wrongParameter("connector", "it needs a destination")
	}
	for _, label := range f.Labels {
		key, value, has := strings.Cut(strings.TrimSpace(label), "=")
		switch {
		case key == "" && !has: // an empty input
		case !has:
			return to, wrongParameter("label", "it is not of the form key=value")
		default:
			if to.Labels == nil {
				to.Labels = map[string]string{}
			}
			to.Labels[key] = value
		}
	}
	return to, nil
}

// IsZero reports whether the filter selects all messages.
func (f *messagesFilter) IsZero() bool {
	labels := strings.TrimSpace(strings.Join(f.Labels, ""))
	g := *f
	g.Labels = nil
	return labels == "" && reflect.ValueOf(g).IsZero()
}

// messagesParams select a page of messages.
type messagesParams struct {
	messagesFilter
	After string `param:"after" doc:"The ID of the last message of the page before."`
	Limit int    `param:"limit" doc:"Rows of the page, at most 1000. Default 100."`
}

// messagesView is a page of messages.
type messagesView struct {
	Messages []messageRow `json:"messages"`
	Next     string       `json:"next,omitempty" doc:"The value of the parameter after for the next page."`
	Complete bool         `json:"complete" doc:"False if there may be more messages. The page can be empty then, because a search reads a limited number of messages."`
	Examined int          `json:"examined" doc:"How many messages were read for this page."`

	Params messagesParams `json:"-"`
	Labels string         `json:"-"` // for the input field
}

// messageRow is a message in a list.
type messageRow struct {
	ID         string            `json:"id"`
	Sender     string            `json:"sender" doc:"Empty for the null reverse-path."`
	Recipients []string          `json:"recipients" doc:"The first recipients that wait, or the first of all if none waits."`
	Count      int               `json:"recipientCount" doc:"The number of all recipients."`
	Subject    string            `json:"subject,omitempty"`
	Status     string            `json:"status"`
	Size       int64             `json:"size"`
	Received   time.Time         `json:"received"`
	Priority   int               `json:"priority"`
	Client     string            `json:"client,omitempty" doc:"The IP address of the client."`
	Connector  string            `json:"connector,omitempty" doc:"The receive connector, or another source: dsn, pickup, replay."`
	Queues     []hopView         `json:"queues" doc:"The next hops that it waits for."`
	Labels     map[string]string `json:"labels,omitempty"`
	Due        time.Time         `json:"due,omitzero" doc:"When the queue makes the next attempt."`
	Expires    time.Time         `json:"expires,omitzero" doc:"When the last recipient expires."`
	LastError  string            `json:"lastError,omitempty" doc:"The last reply to one of the recipients."`
}

// hopView is a next hop of a message.
type hopView struct {
	Key         string `json:"key"`
	Connector   string `json:"connector"`
	Destination string `json:"destination"`
}

// messageStatuses are the choices of the filter.
var messageStatuses = []string{"ready", "active", "retry", "held", "suspended", "pending suspend", "pending remove", "poison", "bad mail", "results"}

// rowRecipients is the maximum number of recipients in a list.
const rowRecipients = 5

// rowOf returns the row of a message.
func (x *call) rowOf(m *queue.MessageInfo) messageRow {
	row := messageRow{
		ID: m.ID, Sender: m.From, Count: len(m.Recipients), Subject: m.Subject, Status: m.Status.String(), Size: m.Size,
		Received: m.Received, Priority: m.Priority, Client: m.Origin.ClientAddr, Connector: m.Origin.Connector,
		Recipients: []string{}, Queues: []hopView{}, Labels: m.Labels, Due: m.Due, Expires: m.Expires,
	}
	if x.hidesSubjects() {
		row.Subject = ""
	}
	waiting := slices.ContainsFunc(m.Recipients, func(r queue.Recipient) bool { return r.Status == queue.Waiting })
	for i := range m.Recipients {
		r := &m.Recipients[i]
		if waiting && r.Status != queue.Waiting {
			continue
		}
		if len(row.Recipients) < rowRecipients {
			row.Recipients = append(row.Recipients, r.Addr)
		}
		if !r.LastAttempt.IsZero() {
			row.LastError = cmp.Or(row.LastError, replyText(r.Last))
		}
	}
	for _, hop := range m.Hops {
		row.Queues = append(row.Queues, hopView{keyOf(hop), hop.Connector, hop.Destination})
	}
	return row
}

// More is the number of recipients that are not in the list.
func (m messageRow) More() int { return m.Count - len(m.Recipients) }

func showMessages(x *call, p messagesParams) (*messagesView, error) {
	f, err := p.filter(x)
	if err != nil {
		return nil, err
	}
	limit, err := rows(p.Limit)
	if err != nil {
		return nil, err
	}
	f.After = p.After
	page, err := x.console.Gateway.Queue.Search(x.ctx(), f, queue.SearchLimits{Messages: limit})
	if err != nil {
		return nil, err
	}
	v := &messagesView{Messages: []messageRow{}, Next: page.Next, Complete: page.Complete, Examined: page.Examined, Params: p, Labels: strings.Join(p.Labels, " ")}
	for _, m := range page.Messages {
		v.Messages = append(v.Messages, x.rowOf(m))
	}
	return v, nil
}
