package main

import (
	"context"
	"maps"
	"net/url"
	"strings"
)

// targetHelp explains the arguments of the commands that change queues or
// messages, and messageTargetHelp those of the commands that change only messages.
const (
	targetHelp        = targetsBegin + queueHelp + targetsEnd
	messageTargetHelp = targetsBegin + targetsEnd
)

const targetsBegin = `
The arguments select what is changed:
`

const queueHelp = `
  queue KEY...        next hops, with their keys from "relayctl queues"
  queue DEST...       next hops with mail, by destination; * matches any text`

const targetsEnd = `
  message ID...       messages
  messages [flags]    all messages that match the flags
  all                 all messages

Without -yes, the command shows what would change, and asks on a terminal.`

// domainHelp is the part for suspensions.
const domainHelp = `
  domain DOMAIN       all next hops of a domain, also those that do not exist yet`

// target returns the change of what the arguments and the filter select. verb is
// the last segment of the path.
func (s *session) target(ctx context.Context, verb string, args []string, filter parameters) (c change, err error) {
	kind := ""
	if len(args) > 0 {
		kind, args = args[0], args[1:]
	}
	filtered := len(filter.Values) > 0
	switch kind {
	case "queue", "queues":
		if filtered {
			return c, wrongUsage("%s queue: the flags that select messages are not possible", verb)
		}
		c = change{path: "/queues/" + verb, counts: "message", counted: "message", grows: verb == "remove" || verb == "redirect"}
		c.form, err = s.queues(ctx, args)
		return c, err
	case "message", "messages":
		c = change{path: "/messages/" + verb, counts: "message", counted: "message", form: maps.Clone(filter.Values)}
		switch {
		case len(args) > 0 && filtered:
			return c, wrongUsage("%s: IDs and flags that select messages exclude each other", verb)
		case len(args) > 0:
			c.form["id"] = args
		case filtered:
			c.filter = true
		default:
			return c, wrongUsage("%s messages: IDs or flags that select messages are needed; %s all selects all", verb, verb)
		}
		return c, nil
	case "all":
		if len(args) > 0 || filtered {
			return c, wrongUsage("%s all: nothing else can be selected", verb)
		}
		return change{path: "/messages/" + verb, counts: "message", counted: "message", form: url.Values{"all": {"yes"}}, filter: true}, nil
	}
	return c, wrongUsage("%s: the first argument must be queue, message, messages or all; see \"relayctl help %s\"", verb, verb)
}

// queues returns the parameters that select next hops.
func (s *session) queues(ctx context.Context, args []string) (url.Values, error) {
	form := url.Values{}
	for _, arg := range args {
		if strings.Contains(arg, ":") { // a key
			form.Add("queue", arg)
			continue
		}
		if arg == "" {
			return nil, errEmpty
		}
		keys, err := s.keys(ctx, arg)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			form.Add("queue", key)
		}
	}
	switch n := len(form["queue"]); {
	case n == 0:
		return nil, wrongUsage("a destination or the key of a next hop is missing")
	case n > maxRows:
		return nil, wrongUsage("%d next hops are selected, and a command can change %d", n, maxRows)
	}
	return form, nil
}

// keys returns the keys of the next hops with a destination.
func (s *session) keys(ctx context.Context, destination string) (keys []string, err error) {
	query := parameters{Values: url.Values{"destination": {destination}}}
	quiet := *s
	quiet.json = false
	err = quiet.pages(ctx, "/queues", query, maxRows+1, func(doc document) (int, string, error) {
		var page queuePage
		if err := doc.decode(&page); err != nil {
			return 0, "", err
		}
		for _, q := range page.Queues {
			if q.Destination != "" && q.Status != "aside" {
				keys = append(keys, q.Key)
			}
		}
		return len(page.Queues), page.Next, nil
	})
	if err == nil && len(keys) == 0 {
		err = &nothingError{"no next hop with mail has the destination " + destination + "; a key CONNECTOR:DESTINATION also selects one without mail"}
	}
	return keys, err
}
