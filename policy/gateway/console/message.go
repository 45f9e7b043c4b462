package console

import (
	"cmp"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// messageParams select one message.
type messageParams struct {
	ID string `param:"id" doc:"The ID of the message."`
}

// messageView is one message in the queue.
type messageView struct {
	messageRow
	MessageID  string          `json:"messageId,omitempty" doc:"The field Message-ID of the header."`
	Helo       string          `json:"helo,omitempty" doc:"The name of the client in HELO or EHLO."`
	Protocol   string          `json:"protocol,omitempty"`
	Identity   string          `json:"identity,omitempty" doc:"The account that the client logged in to. Only for operators."`
	Release    time.Time       `json:"release,omitzero" doc:"The earliest time of the first attempt."`
	System     bool            `json:"system" doc:"Whether it is a report of the queue."`
	Node       string          `json:"node,omitempty" doc:"The node that has leased the message, if several nodes share the store."`
	Aside      bool            `json:"aside" doc:"Whether it is suspended, poison or bad mail. Only such a message can be exported with its envelope."`
	States     []recipientView `json:"recipientStates" doc:"The recipients, at most 1000."`
	Hops       []traceHop      `json:"trace,omitempty" doc:"The hosts that have handled the message, the first one first, as the header says. Only for operators."`
	Timeline   []trackingRow   `json:"timeline" doc:"What happened to the message and to those made of it, from the tracking log."`
	TimelineOK bool            `json:"timelineComplete" doc:"False if there are more entries, or if the relay has no tracking log."`
}

// recipientView is one recipient of a message.
type recipientView struct {
	Address     string    `json:"address"`
	Status      string    `json:"status"`
	Attempts    int       `json:"attempts"`
	Reply       string    `json:"reply,omitempty" doc:"The last reply, or the reason why there is none."`
	Host        string    `json:"host,omitempty" doc:"The name and the address of the host."`
	TLS         string    `json:"tls,omitempty"`
	LastAttempt time.Time `json:"lastAttempt,omitzero"`
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
	Connector   string    `json:"connector,omitempty" doc:"Of the route that an operator or a hook has set."`
	Destination string    `json:"destination,omitempty" doc:"Of the route that an operator or a hook has set."`
}

// maxStates is the maximum number of recipients on the page of a message.
const maxStates = 1000

func showMessage(x *call, p messageParams) (*messageView, error) {
	if err := queue.ValidID(p.ID); err != nil {
		return nil, queue.ErrNotFound
	}
	m, err := x.console.Gateway.Queue.Message(x.ctx(), p.ID)
	if err != nil {
		return nil, err
	}
	v := &messageView{
		messageRow: x.rowOf(m), MessageID: m.MessageID, Helo: m.Origin.ClientHelo, Protocol: m.Origin.Protocol,
		Release: m.Release, System: m.System, Aside: isAside(m.Status), States: []recipientView{},
	}
	if !x.viewer() {
		v.Identity = m.Origin.Identity
		if v.Hops, err = x.trace(p.ID); err != nil {
			return nil, err
		}
	}
	for i := range m.Recipients[:min(len(m.Recipients), maxStates)] {
		v.States = append(v.States, stateOf(&m.Recipients[i]))
	}
	if v.Node, err = x.holder(p.ID); err != nil {
		return nil, err
	}
	timeline, err := x.timeline(p.ID)
	if err != nil {
		return nil, err
	}
	v.Timeline, v.TimelineOK = timeline.Entries, timeline.Complete
	return v, nil
}

func isAside(s queue.MessageStatus) bool {
	return s == queue.MessageSuspended || s == queue.MessagePoison || s == queue.MessageBad
}

// stateOf returns the view of a recipient.
func stateOf(r *queue.Recipient) recipientView {
	v := recipientView{
		Address: r.Addr, Status: r.Status.String(), Attempts: r.Attempts, LastAttempt: r.LastAttempt,
		Connector: r.Route.Connector, Destination: r.Route.Destination,
	}
	if r.Status == queue.Waiting {
		v.NextAttempt = r.NextAttempt
	}
	if r.LastAttempt.IsZero() && r.Status == queue.Waiting {
		return v
	}
	last := r.Last
	last.Host = ""
	v.Reply, v.TLS, v.Host = replyText(last), r.Last.TLS, r.Last.Host
	if r.Last.Addr != "" {
		v.Host = cmp.Or(r.Last.Host, "") + " [" + r.Last.Addr + "]"
	}
	return v
}
