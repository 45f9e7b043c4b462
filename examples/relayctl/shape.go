package main

import (
	"context"
	"flag"
	"net/url"
	"strconv"
)

var shapeCommand = command{
	name: "shape", args: "",
	summary: "show how old the mail of each domain is (the table of qshape)",
	details: `
The columns are ages in minutes: the column 10 counts the messages that are older
than the limit of the column before, and not older than 10 minutes. T is the total.`,
	define: func(fs *flag.FlagSet) action {
		senders := fs.Bool("senders", false, "the domains of senders instead of recipients")
		parents := fs.Bool("parents", false, "add rows for parent domains, which begin with a dot")
		queue := fs.String("queue", "", "only the mail of the next hop with this `key`")
		limit := fs.Int("limit", 50, "the maximum `number` of rows")
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) > 0 {
				return wrongUsage("shape takes only flags")
			}
			query := url.Values{"limit": {strconv.Itoa(*limit)}}
			if *senders {
				query.Set("by", "sender")
			}
			if *parents {
				query.Set("parents", "yes")
			}
			if *queue != "" {
				query.Set("queue", *queue)
			}
			doc, err := s.get(ctx, "/age", query)
			if err != nil {
				return err
			}
			return printShape(s, doc)
		}
	},
}

// A shape is the document of /age.
type shape struct {
	LimitSeconds []float64
	Total        shapeRow
	Rows         []shapeRow
	Rest         shapeRow
	Complete     bool
}

type shapeRow struct {
	Domain string
	Total  int
	Ages   []int
}

func printShape(s *session, doc document) error {
	var v shape
	if err := doc.decode(&v); err != nil {
		return err
	}
	if s.json {
		if err := s.printJSON(doc); err != nil {
			return err
		}
	}
	if v.Total.Total == 0 {
		return &nothingError{"the queue has no mail"}
	}
	if s.json {
		return nil
	}
	titles := []string{">", ">T"}
	for _, limit := range v.LimitSeconds {
		titles = append(titles, ">"+strconv.FormatFloat(limit/60, 'g', 4, 64))
	}
	if n := len(titles); n > 2 {
		titles = append(titles, titles[n-1]+"+")
	}
	t := newTable(titles...)
	add := func(name string, r shapeRow) {
		cells := []string{name, strconv.Itoa(r.Total)}
		for _, n := range r.Ages {
			cells = append(cells, strconv.Itoa(n))
		}
		for len(cells) < len(titles) {
			cells = append(cells, "")
		}
		t.add(cells[:len(titles)]...)
	}
	add("TOTAL", v.Total)
	for _, r := range v.Rows {
		name := r.Domain
		if name == "" {
			name = "<>"
		}
		add(name, r)
	}
	if v.Rest.Total > 0 {
		add("(other)", v.Rest)
	}
	if err := t.write(s.out); err != nil {
		return err
	}
	if !v.Complete {
		s.note("there are too many messages to count all")
	}
	return nil
}
