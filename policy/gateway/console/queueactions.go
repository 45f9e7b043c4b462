package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// hopsParams select the next hops of an action: with their keys, or one with its
// connector and destination.
type hopsParams struct {
	Queues      []string `param:"queue" doc:"Keys of next hops."`
	Connector   string   `param:"connector" doc:"The connector of one next hop."`
	Destination string   `param:"destination" doc:"The destination of one next hop."`
}

// hops returns the next hops and the number of their messages.
func (p hopsParams) hops(x *call) (hops []queue.NextHop, messages int, err error) {
	for _, key := range p.Queues {
		hop, err := hopOf(key)
		if err != nil {
			return nil, 0, err
		}
		hops = append(hops, hop)
	}
	if p.Connector != "" || p.Destination != "" {
		hops = append(hops, queue.NextHop{Connector: p.Connector, Destination: p.Destination})
	}
	if len(hops) == 0 {
		return nil, 0, wrongParameter("queue", "no next hop is selected")
	}
	for _, hop := range hops {
		if hop.Destination == "" || strings.HasPrefix(hop.Destination, "(") && hop.Destination != queue.DefaultQueue && hop.Destination != queue.FinalResultsQueue {
			return nil, 0, wrongParameter("queue", "it is not a next hop. Use the actions on messages")
		}
	}
	infos, err := x.console.Gateway.Queue.Queues(x.ctx())
	for _, i := range infos {
		if slices.Contains(hops, i.Hop) {
			messages += i.Stored
		}
	}
	return hops, messages, err
}

// named returns a text about next hops: the name of one, or the number.
func named(hops []queue.NextHop) string {
	if len(hops) == 1 {
		return "the queue " + hops[0].String()
	}
	return fmt.Sprintf("%d queues", len(hops))
}

// planForHops returns the plan to do something to each of the next hops.
func planForHops(x *call, p hopsParams, verb, text string, do func(context.Context, queue.NextHop) (int, error)) (*plan, error) {
	hops, messages, err := p.hops(x)
	if err != nil {
		return nil, err
	}
	back := "/queues"
	if len(hops) == 1 {
		back += "/" + url.PathEscape(keyOf(hops[0]))
	}
	return &plan{
		Title: verb + " " + named(hops), Text: text, Count: messages, Back: back,
		do: func(ctx context.Context) (int, error) { return doEach(ctx, hops, do) },
	}, nil
}

// suspendParams select next hops or a domain, and the end of the suspension.
type suspendParams struct {
	hopsParams
	Domain string    `param:"domain" doc:"Suspends all next hops of this domain, also those that do not exist yet."`
	Until  time.Time `param:"until" doc:"When the suspension ends by itself. Default: it does not."`
}

func planSuspendQueues(x *call, p suspendParams) (*plan, error) {
	until := input{Name: "until", Label: "Until (UTC)", Hint: "When the suspension ends by itself. Empty: it does not.", Type: "datetime-local", Value: formatInput(p.Until)}
	if p.Domain != "" {
		return &plan{
			Title: "Suspend the domain " + p.Domain, Text: "The mail for the domain waits in the queue.", Count: 1, Things: "domain", Back: "/suspensions", Ask: []input{until},
			do: func(ctx context.Context) (int, error) {
				_, err := x.console.Gateway.Queue.Suspend(ctx, queue.Suspension{Domain: p.Domain, Until: p.Until})
				return 1, err
			},
		}, nil
	}
	todo, err := planForHops(x, p.hopsParams, "Suspend", "The mail waits in the queue. Attempts in progress continue.", func(ctx context.Context, hop queue.NextHop) (int, error) {
		_, err := x.console.Gateway.Queue.Suspend(ctx, queue.Suspension{Hop: hop, Until: p.Until})
		return 1, err
	})
	if err == nil {
		todo.Ask = []input{until}
	}
	return todo, err
}

func planResumeQueues(x *call, p hopsParams) (*plan, error) {
	return planForHops(x, p, "Resume", "The mail is delivered again.", func(ctx context.Context, hop queue.NextHop) (int, error) {
		err := x.console.Gateway.Queue.Lift(ctx, queue.Suspension{Hop: hop})
		if errors.Is(err, queue.ErrNoSuspension) {
			return 0, refuse(http.StatusConflict, "The queue "+hop.String()+" is not suspended itself. The page Suspensions shows the suspensions of domains.")
		}
		return 1, err
	})
}

func planRetryQueues(x *call, p hopsParams) (*plan, error) {
	return planForHops(x, p, "Retry", "All mail of the queue is due at once, also outside the schedule of its connector. Suspended messages stay suspended.", func(ctx context.Context, hop queue.NextHop) (int, error) {
		return x.console.Gateway.Queue.RetryQueues(ctx, func(h queue.NextHop) bool { return h == hop })
	})
}

// removeParams select next hops, and whether senders get a report.
type removeParams struct {
	hopsParams
	Report bool      `param:"report" doc:"Send a failure report (NDR) to the senders."`
	Before time.Time `param:"before" doc:"Only messages that were received before this time."`
}

func planRemoveQueues(x *call, p removeParams) (*plan, error) {
	text := "All messages of the queue are removed. Their senders get no report."
	if p.Report {
		text = "All messages of the queue are removed. Their senders get a failure report."
	}
	x.countedNow(&p.Before)
	todo, err := planForHops(x, p.hopsParams, "Remove the messages of", text, func(ctx context.Context, hop queue.NextHop) (int, error) {
		return x.console.Gateway.Queue.Do(ctx, queue.Filter{Hop: &hop, Before: p.Before}, queue.Remove(p.Report))
	})
	if err != nil {
		return nil, err
	}
	todo.Back = "/queues" // the queue is gone
	return todo, nil
}

// redirectParams select next hops, and the new one.
type redirectParams struct {
	hopsParams
	to
	Before time.Time `param:"before" doc:"Only messages that were received before this time."`
}

// to is the next hop of a redirection.
type to struct {
	ToConnector   string `param:"to-connector" doc:"The connector of the new next hop."`
	ToDestination string `param:"to-destination" doc:"The destination of the new next hop."`
}

// hop returns the next hop.
func (t to) hop() queue.NextHop {
	return queue.NextHop{Connector: t.ToConnector, Destination: t.ToDestination}
}

// ask returns the inputs for the confirmation page.
func (t to) ask() []input {
	return []input{
		{Name: "to-destination", Label: "New destination", Hint: "A domain, or the name of a set of smart hosts.", Type: "text", Value: t.ToDestination, Required: true},
		{Name: "to-connector", Label: "Send connector", Type: "text", Value: t.ToConnector},
	}
}

func planRedirectQueues(x *call, p redirectParams) (*plan, error) {
	x.countedNow(&p.Before)
	todo, err := planForHops(x, p.hopsParams, "Redirect the messages of", "All messages of the queue are sent to another next hop. They are not routed.", func(ctx context.Context, hop queue.NextHop) (int, error) {
		return x.console.Gateway.Queue.Do(ctx, queue.Filter{Hop: &hop, Before: p.Before}, queue.Redirect(p.to.hop()))
	})
	if err != nil {
		return nil, err
	}
	todo.Ask, todo.Back = p.ask(), "/queues"
	return todo, nil
}
