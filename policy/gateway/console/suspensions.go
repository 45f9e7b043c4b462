package console

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// suspensionsParams select a page of suspensions.
type suspensionsParams struct {
	Page  int `param:"page" doc:"The number of the page, from 1."`
	Limit int `param:"limit" doc:"Rows of the page, at most 1000. Default 100."`
}

// suspensionsView is a page of suspensions.
type suspensionsView struct {
	Suspensions []suspensionView `json:"suspensions"`
	Total       int              `json:"total"`
	Next        int              `json:"next,omitempty" doc:"The value of the parameter page for the next page."`
}

// suspensionView is one suspension.
type suspensionView struct {
	Domain      string    `json:"domain,omitempty" doc:"The domain that is suspended."`
	Connector   string    `json:"connector,omitempty" doc:"The connector of the next hop that is suspended."`
	Destination string    `json:"destination,omitempty" doc:"The destination of the next hop that is suspended."`
	Reason      string    `json:"reason"`
	By          string    `json:"by" doc:"Who suspended it."`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until,omitzero" doc:"When it ends by itself."`
	Volatile    bool      `json:"volatile" doc:"Whether it ends with the process, because the store cannot keep it."`
}

func viewOfSuspension(s queue.Suspension) suspensionView {
	return suspensionView{s.Domain, s.Hop.Connector, s.Hop.Destination, s.Reason, s.By, s.Since, s.Until, s.Volatile}
}

func showSuspensions(x *call, p suspensionsParams) (*suspensionsView, error) {
	limit, err := rows(p.Limit)
	if err != nil {
		return nil, err
	}
	if p.Page < 0 || p.Page > queue.MaxSuspensions {
		return nil, wrongParameter("page", fmt.Sprintf("%d is not the number of a page", p.Page))
	}
	all, err := x.console.Gateway.Queue.Suspensions(x.ctx())
	if err != nil {
		return nil, err
	}
	v := &suspensionsView{Suspensions: []suspensionView{}, Total: len(all)}
	page := max(p.Page, 1)
	begin := min((page-1)*limit, len(all))
	for _, s := range all[begin:min(begin+limit, len(all))] {
		v.Suspensions = append(v.Suspensions, viewOfSuspension(s))
	}
	if begin+limit < len(all) {
		v.Next = page + 1
	}
	return v, nil
}

// liftParams select one suspension: that of a domain or of a next hop.
type liftParams struct {
	Domain      string `param:"domain" doc:"The domain of a suspension."`
	Connector   string `param:"connector" doc:"The connector of the next hop of a suspension."`
	Destination string `param:"destination" doc:"The destination of the next hop of a suspension."`
}

func planLift(x *call, p liftParams) (*plan, error) {
	s := queue.Suspension{Domain: p.Domain, Hop: queue.NextHop{Connector: p.Connector, Destination: p.Destination}}
	if (s.Domain == "") == (s.Hop == queue.NextHop{}) {
		return nil, wrongParameter("domain", "a domain or a next hop is needed, and not both")
	}
	all, err := x.console.Gateway.Queue.Suspensions(x.ctx())
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(one queue.Suspension) bool { return one.Hop == s.Hop && one.Domain == s.Domain }) {
		return nil, queue.ErrNoSuspension
	}
	return &plan{
		Title: "Lift the suspension of " + s.String(), Text: "The mail is delivered again.", Count: 1, Things: "suspension", Back: "/suspensions",
		do: func(ctx context.Context) (int, error) { return 1, x.console.Gateway.Queue.Lift(ctx, s) },
	}, nil
}
