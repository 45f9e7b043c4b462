package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// maxActionTime is how long an action may take. It does not end when the client
// disconnects, because half of an action is worse than none.
const maxActionTime = 10 * time.Minute

// maxReason and maxName are limits of the queue, in bytes.
const (
	maxReason = 1000
	maxName   = 256
)

// A plan is an action that has not been done.
type plan struct {
	Title string // "Suspend 3 queues"
	Text  string // what it does, in one sentence, or ""
	Count int    // the number of messages, or of Things, that it concerns
	// AtLeast means that there may be more than Count.
	AtLeast bool
	Things  string // what Count counts. Default "message"
	Back    string // the page that a browser shows afterwards, for example "/queues"
	Ask     []input
	// do does it and returns the number of messages (or other things) that it
	// was done to.
	do func(context.Context) (int, error)
}

// An input is a parameter that the confirmation page asks for.
type input struct {
	Name, Label, Hint string
	Type              string // of the HTML element: text, checkbox, datetime-local
	Value             string
	Required          bool
}

// outcome is the answer to an action.
type outcome struct {
	Action string `json:"action" doc:"What the action does, in words."`
	Count  int    `json:"count" doc:"The number of messages (or other things) that it concerns, or that it has changed."`
	// AtLeast is only set before the action.
	AtLeast bool `json:"atLeast,omitempty" doc:"Whether it may concern more than count, because not all were counted."`
	Done    bool `json:"done" doc:"Whether it was done. It is false without confirm=yes."`
	// Skipped is only set after the action.
	Skipped map[string]int `json:"skipped,omitempty" doc:"The number of messages that were skipped, because other nodes deliver them, by the name of the node. If all were skipped, the answer is 409."`
	ID      int64          `json:"id,omitempty" doc:"The number of the entry in the audit log."`
}

// action is a route with an action: a POST for operators. plan finds out what
// the action would do. The frame asks for the confirmation and the reason, does
// it, and writes the audit log.
func action[P any](path, summary string, make func(*call, P) (*plan, error)) route {
	return route{
		method: http.MethodPost, path: path, role: Operator, summary: summary, template: "confirm.html",
		params: reflect.TypeFor[P](), view: reflect.TypeFor[outcome](),
		handle: func(x *call) (any, error) {
			p, err := decode[P](x)
			if err != nil {
				return nil, err
			}
			todo, err := make(x, p)
			if err != nil {
				return nil, err
			}
			return x.act(todo)
		},
	}
}

// act does an action if the client has confirmed it.
func (x *call) act(p *plan) (any, error) {
	confirmed, err := x.confirmed(p)
	if err != nil {
		return nil, err
	}
	if !confirmed {
		if !x.json && x.route.upload {
			// A browser would not send the bytes of a file again as they are.
			return nil, wrongParameter("confirm", "the form must have confirm=yes and a reason")
		}
		if !x.json {
			x.writePage(http.StatusOK, "confirm.html", p.Title, &confirmation{plan: p, Path: x.path, Hidden: x.hidden(p), Reason: x.form.Get("reason")})
			return nil, nil
		}
		return &outcome{Action: p.Title, Count: p.Count, AtLeast: p.AtLeast}, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.ctx()), maxActionTime)
	defer cancel()
	http.NewResponseController(x.w).SetWriteDeadline(time.Time{}) // that of the server is shorter
	ctx = queue.WithOperator(ctx, x.operator(), x.reason())
	e := x.console.audit.begin(x, p)
	n, err := p.do(ctx)
	x.console.audit.end(e, n, err)
	skipped, err := partly(n, err)
	if err != nil {
		return nil, err
	}
	if !x.json {
		x.redirect(x.link(cmp.Or(p.Back, "/"), "done", e.ID))
		return nil, nil
	}
	return &outcome{Action: p.Title, Count: n, Done: true, Skipped: skipped, ID: e.ID}, nil
}

// confirmed reports whether the client has confirmed the action and given a
// reason.
func (x *call) confirmed(p *plan) (bool, error) {
	if x.form.Get("confirm") != "yes" {
		return false, nil
	}
	switch reason := x.reason(); {
	case reason == "":
		return false, wrongParameter("reason", "it is missing; the audit log records it")
	case len(reason) > maxReason:
		return false, wrongParameter("reason", fmt.Sprintf("it has more than %d bytes", maxReason))
	}
	for _, in := range p.Ask {
		if in.Required && x.form.Get(in.Name) == "" {
			return false, wrongParameter(in.Name, "it is missing")
		}
	}
	return true, nil
}

// operator returns the name of the client for the events of the queue.
func (x *call) operator() string { return x.access.Name[:min(len(x.access.Name), maxName)] }

// reason returns the reason of the action.
func (x *call) reason() string { return strings.TrimSpace(x.form.Get("reason")) }

// Unit is what Count counts, in the singular or plural.
func (p *plan) Unit() string {
	things := cmp.Or(p.Things, "message")
	if p.Count != 1 {
		things += "s"
	}
	return things
}

// A confirmation is the page that asks for the confirmation of an action.
type confirmation struct {
	*plan
	Path   string // of the action
	Hidden []hidden
	Reason string
}

// hidden is a parameter that the form sends again.
type hidden struct{ Name, Value string }

// hidden returns the parameters of the request that the page does not ask for.
func (x *call) hidden(p *plan) (all []hidden) {
	for name, values := range x.form {
		asked := slices.ContainsFunc(p.Ask, func(in input) bool { return in.Name == name })
		if asked || common[name] {
			continue
		}
		for _, value := range values {
			all = append(all, hidden{name, value})
		}
	}
	slices.SortStableFunc(all, func(a, b hidden) int { return strings.Compare(a.Name, b.Name) })
	return all
}
