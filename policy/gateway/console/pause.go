package console

import (
	"context"
	"net/http"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// pauseParams select what is paused.
type pauseParams struct {
	What string `param:"what" doc:"receiving (new mail is refused with 451 4.3.2) or sending (no delivery begins)."`
}

// A pausable is a part of the queue that can be paused.
type pausable struct {
	pause, resume         string // the actions
	pauseText, resumeText string
	is                    func(queue.State) bool
	begin, end            func(*queue.Queue, context.Context)
}

// pausables are the parts by their names.
var pausables = map[string]pausable{
	"receiving": {
		pause: "Pause receiving", pauseText: "New mail is refused with 451 4.3.2, and its senders try again. The mail in the queue is delivered. The pause lasts until an operator ends it, or until the relay stops.",
		resume: "Receive again", resumeText: "New mail is accepted.",
		is: func(s queue.State) bool { return s.Frozen }, begin: (*queue.Queue).Freeze, end: (*queue.Queue).Thaw,
	},
	"sending": {
		pause: "Pause sending", pauseText: "No delivery begins; those in progress continue. New mail is accepted and waits. The pause lasts until an operator ends it, or until the relay stops.",
		resume: "Send again", resumeText: "The mail in the queue is delivered.",
		is: func(s queue.State) bool { return s.Paused }, begin: (*queue.Queue).Pause, end: (*queue.Queue).Continue,
	},
}

// pausable returns the part, and whether it is paused.
func (x *call) pausable(what string) (p pausable, paused bool, err error) {
	p, known := pausables[what]
	if !known {
		return p, false, wrongParameter("what", "receiving or sending is needed")
	}
	return p, p.is(x.console.Gateway.Queue.State()), nil
}

func planPause(x *call, p pauseParams) (*plan, error) {
	part, paused, err := x.pausable(p.What)
	switch {
	case err != nil:
		return nil, err
	case paused:
		return nil, refuse(http.StatusConflict, "It is paused already.")
	}
	return &plan{
		Title: part.pause, Text: part.pauseText, Count: 1, Things: "part", Back: "/overview",
		do: func(ctx context.Context) (int, error) {
			part.begin(x.console.Gateway.Queue, ctx)
			return 1, nil
		},
	}, nil
}

func planContinue(x *call, p pauseParams) (*plan, error) {
	part, paused, err := x.pausable(p.What)
	switch {
	case err != nil:
		return nil, err
	case !paused:
		return nil, refuse(http.StatusConflict, "It is not paused.")
	}
	return &plan{
		Title: part.resume, Text: part.resumeText, Count: 1, Things: "part", Back: "/overview",
		do: func(ctx context.Context) (int, error) {
			part.end(x.console.Gateway.Queue, ctx)
			return 1, nil
		},
	}, nil
}
