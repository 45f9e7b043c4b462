package console

import (
	"fmt"
	"strconv"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// ageParams select the messages of the table, and its rows.
type ageParams struct {
	By      string `param:"by" doc:"Rows are the domains of recipients (recipient, the default) or of senders (sender)."`
	Parents string `param:"parents" doc:"yes adds rows for parent domains: .example.com has the sum of example.com and all domains below it. Default no."`
	Queue   string `param:"queue" doc:"Only the mail of the next hop with this key."`
	Limit   int    `param:"limit" doc:"The maximum number of rows, at most 1000. Default 50."`
}

// ageView is the table of qshape (Postfix): how old the mail of each domain is.
type ageView struct {
	Limits   []float64 `json:"limitSeconds" doc:"The limits of the ages. The last column of a row has no limit."`
	Total    ageRow    `json:"total"`
	Rows     []ageRow  `json:"rows" doc:"By total, the highest first."`
	Rest     ageRow    `json:"rest" doc:"The domains that have no row."`
	Complete bool      `json:"complete" doc:"False if there are too many messages to count all."`

	Params ageParams `json:"-"`
}

// ageRow has the numbers of one domain.
type ageRow struct {
	Domain string `json:"domain" doc:"Empty for the null reverse-path. A leading dot means all domains below it too."`
	Total  int    `json:"total"`
	Ages   []int  `json:"ages" doc:"The total, by age."`
}

// Columns are the heads of the columns: minutes, as in qshape.
func (v *ageView) Columns() (all []string) {
	last := ""
	for _, s := range v.Limits {
		last = strconv.FormatFloat(s/60, 'f', -1, 64)
		all = append(all, last)
	}
	return append(all, last+"+")
}

func showAge(x *call, p ageParams) (*ageView, error) {
	o := queue.ShapeOptions{Senders: p.By == "sender", Parents: p.Parents == "yes", Rows: p.Limit}
	if p.By != "" && p.By != "sender" && p.By != "recipient" {
		return nil, wrongParameter("by", fmt.Sprintf("%q is not recipient or sender", p.By))
	}
	if p.Limit < 0 || p.Limit > maxPageRows {
		return nil, wrongParameter("limit", fmt.Sprintf("%d is not 1 to %d", p.Limit, maxPageRows))
	}
	if p.Queue != "" {
		hop, err := hopOf(p.Queue)
		if err != nil {
			return nil, err
		}
		o.Hop = &hop
	}
	s, err := x.console.Gateway.Queue.Shape(x.ctx(), o)
	if err != nil {
		return nil, err
	}
	v := &ageView{Limits: []float64{}, Rows: []ageRow{}, Total: rowOfAges(s.Total, s), Rest: rowOfAges(s.Rest, s), Complete: s.Complete, Params: p}
	for _, limit := range s.Limits {
		v.Limits = append(v.Limits, limit.Seconds())
	}
	for _, r := range s.Rows {
		v.Rows = append(v.Rows, rowOfAges(r, s))
	}
	return v, nil
}

func rowOfAges(r queue.ShapeRow, s *queue.Shape) ageRow {
	row := ageRow{Domain: r.Domain, Total: r.Total, Ages: make([]int, len(s.Limits)+1)}
	copy(row.Ages, r.Ages)
	return row
}
