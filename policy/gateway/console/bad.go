package console

import "github.com/bridgehead-mail/bridgehead/queue"

// badParams select a page of the messages that are set aside by the relay.
type badParams struct {
	After string `param:"after" doc:"The ID of the last message of bad mail of the page before."`
	Limit int    `param:"limit" doc:"Rows of each list, at most 1000. Default 100."`
}

// badView has the messages that the relay has set aside for an operator.
type badView struct {
	BadMail []messageRow `json:"badMail" doc:"Messages that can be neither delivered nor reported."`
	Poison  []messageRow `json:"poison" doc:"Messages that were in delivery each time the process died."`
	Next    string       `json:"next,omitempty" doc:"The value of the parameter after for the next page of bad mail."`
}

func showBad(x *call, p badParams) (*badView, error) {
	limit, err := rows(p.Limit)
	if err != nil {
		return nil, err
	}
	v := &badView{}
	find := func(destination, after string, to *[]messageRow) (*queue.MessagePage, error) {
		*to = []messageRow{}
		hop := queue.NextHop{Destination: destination}
		page, err := x.console.Gateway.Queue.Search(x.ctx(), queue.Filter{Hop: &hop, After: after}, queue.SearchLimits{Messages: limit})
		if err != nil {
			return nil, err
		}
		for _, m := range page.Messages {
			*to = append(*to, x.rowOf(m))
		}
		return page, nil
	}
	page, err := find(queue.BadMailQueue, p.After, &v.BadMail)
	if err != nil {
		return nil, err
	}
	v.Next = page.Next
	if p.After == "" {
		_, err = find(queue.PoisonQueue, "", &v.Poison)
	} else {
		v.Poison = []messageRow{}
	}
	return v, err
}
