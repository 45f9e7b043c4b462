package main

import (
	"context"
	"flag"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var suspendCommand = command{
	name: "suspend", args: "queue|domain|message|messages|all ...",
	summary: "stop the delivery of next hops, a domain or messages",
	details: strings.Replace(targetHelp, "\n  message ", domainHelp+"\n  message ", 1),
	define: func(fs *flag.FlagSet) action {
		filter, by := selects(fs), confirms(fs)
		until := fs.String("until", "", "when the suspension of a queue or domain ends by itself: a `time`, or 2h for in two\nhours (default: it does not)")
		return func(ctx context.Context, s *session, args []string) error {
			c, err := s.suspension(ctx, "suspend", args, filter)
			if err != nil {
				return err
			}
			if *until != "" {
				if !strings.HasPrefix(c.path, "/queues/") {
					return wrongUsage("-until is only for queues and domains")
				}
				t, err := readTime(*until, +1)
				if err != nil {
					return wrongUsage("-until: %v", err)
				}
				c.form.Set("until", t.UTC().Format(time.RFC3339))
			}
			return s.change(ctx, c, by)
		}
	},
}

var resumeCommand = command{
	name: "resume", args: "queue|domain|message|messages|all ...",
	summary: "end the suspension of next hops, a domain or messages",
	details: strings.Replace(targetHelp, "\n  message ", domainHelp+"\n  message ", 1),
	define: func(fs *flag.FlagSet) action {
		filter, by := selects(fs), confirms(fs)
		return func(ctx context.Context, s *session, args []string) error {
			c, err := s.suspension(ctx, "resume", args, filter)
			if err != nil {
				return err
			}
			return s.change(ctx, c, by)
		}
	},
}

// suspension is target for commands that also take a domain.
func (s *session) suspension(ctx context.Context, verb string, args []string, filter parameters) (change, error) {
	if len(args) == 0 || args[0] != "domain" {
		c, err := s.target(ctx, verb, args, filter)
		if strings.HasPrefix(c.path, "/queues/") {
			c.counted = "queue"
		}
		return c, err
	}
	if len(args) != 2 || args[1] == "" || len(filter.Values) > 0 {
		return change{}, wrongUsage("%s domain: one domain is needed, and no other flag that selects something", verb)
	}
	at := map[string]string{"suspend": "/queues/suspend", "resume": "/suspensions/lift"}[verb]
	return change{path: at, form: url.Values{"domain": {args[1]}}, counts: "domain", counted: "domain"}, nil
}

var suspensionsCommand = command{
	name: "suspensions", args: "",
	summary: "list the suspensions of next hops and domains",
	define: func(*flag.FlagSet) action {
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) > 0 {
				return wrongUsage("suspensions takes no arguments")
			}
			return listSuspensions(ctx, s)
		}
	},
}

// A suspensionPage is a page of /suspensions.
type suspensionPage struct {
	Suspensions []struct {
		Domain, Connector, Destination, Reason, By string
		Since, Until                               time.Time
		Volatile                                   bool
	}
	Next int
}

func listSuspensions(ctx context.Context, s *session) error {
	t := newTable("DOMAIN", "CONNECTOR", "DESTINATION", "SINCE", "UNTIL", "BY", "REASON")
	shown := 0
	for page := 1; page > 0; {
		doc, err := s.get(ctx, "/suspensions", url.Values{"page": {strconv.Itoa(page)}, "limit": {strconv.Itoa(maxRows)}})
		if err != nil {
			return err
		}
		var p suspensionPage
		if err := doc.decode(&p); err != nil {
			return err
		}
		if s.json {
			if err := s.printJSON(doc); err != nil {
				return err
			}
		}
		for _, one := range p.Suspensions {
			t.add(one.Domain, one.Connector, one.Destination, stamp(one.Since), stamp(one.Until), one.By, one.Reason)
		}
		shown, page = shown+len(p.Suspensions), p.Next
	}
	switch {
	case shown == 0:
		return &nothingError{"nothing is suspended"}
	case s.json:
		return nil
	}
	return t.write(s.out)
}
