package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"time"
)

var queuesCommand = command{
	name: "queues", args: "[DESTINATION]",
	summary: "list the next hops that have mail or a state",
	details: `
DESTINATION selects next hops; * matches any text. The column KEY has the key
that other commands take. IN and OUT are messages per minute. LIMIT is the limit
because of which the mail waits, and ERROR is the last error.`,
	define: func(fs *flag.FlagSet) action {
		p := newParameters(fs,
			"status: only next hops with this `status`: ready, active, retry, connecting,\nsuspended, scheduled or aside",
			"connector: only next hops of this send `connector`; * matches any text",
			"sort: the `order`: name (default), messages, oldest, bytes or deliveries")
		limit := fs.Int("limit", 100, "the maximum `number` of next hops; 0 means all")
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) > 1 {
				return wrongUsage("queues takes one destination")
			}
			if len(args) == 1 {
				p.Set("destination", args[0])
			}
			return listQueues(ctx, s, p, *limit)
		}
	},
}

// A queuePage is a page of /queues.
type queuePage struct {
	Queues []nextHop
	Total  int
	Next   string
}

// A nextHop is one next hop of the API.
type nextHop struct {
	Key, Connector, Destination, Status string
	Messages, Deferred                  int
	Bytes                               int64
	InPerMinute, OutPerMinute           float64
	Deliveries, Concurrency             int
	Oldest                              time.Time
	LastError                           string
	NextRetry                           time.Time
	Limit                               *limit
}

// A limit is why mail waits.
type limit struct{ Kind, Text string }

// rate returns a number of messages per minute.
func rate(perMinute float64) string { return strconv.FormatFloat(perMinute, 'f', 1, 64) }

// limitKind returns the kind of the limit, or "".
func (q *nextHop) limitKind() string {
	if q.Limit == nil {
		return ""
	}
	return q.Limit.Kind
}

func listQueues(ctx context.Context, s *session, p parameters, limit int) error {
	t := newTable("KEY", "STATUS", ">MESSAGES", ">DEFERRED", ">SIZE", "OLDEST", ">IN/MIN", ">OUT/MIN", ">DELIVERIES", "LIMIT", "RETRY", "ERROR")
	shown, total := 0, 0
	err := s.pages(ctx, "/queues", p, limit, func(doc document) (int, string, error) {
		var page queuePage
		if err := doc.decode(&page); err != nil {
			return 0, "", err
		}
		shown, total = shown+len(page.Queues), page.Total
		for _, q := range page.Queues {
			t.add(q.Key, q.Status, strconv.Itoa(q.Messages), strconv.Itoa(q.Deferred), size(q.Bytes), age(q.Oldest), rate(q.InPerMinute), rate(q.OutPerMinute),
				fmt.Sprintf("%d of %d", q.Deliveries, q.Concurrency), q.limitKind(), until(q.NextRetry), q.LastError)
		}
		return len(page.Queues), page.Next, nil
	})
	switch {
	case err != nil:
		return err
	case shown == 0:
		return &nothingError{"no next hop has mail or matches"}
	case s.json:
		return nil
	}
	if err := t.write(s.out); err != nil {
		return err
	}
	if total > shown {
		s.note("%d of %d next hops; -limit 0 shows all", shown, total)
	}
	return nil
}
