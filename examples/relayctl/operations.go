package main

import (
	"context"
	"flag"
)

// operation is a command that changes the queues or messages of its arguments.
// define, if set, adds further flags, and returns the function that adds their
// parameters.
func operation(name, args, summary string, define func(*flag.FlagSet) func(change) error) command {
	return command{
		name: name, args: args, summary: summary, details: targetHelp,
		define: func(fs *flag.FlagSet) action {
			filter, by := selects(fs), confirms(fs)
			var extra func(change) error
			if define != nil {
				extra = define(fs)
			}
			return func(ctx context.Context, s *session, args []string) error {
				c, err := s.target(ctx, name, args, filter)
				if err == nil && extra != nil {
					err = extra(c)
				}
				if err != nil {
					return err
				}
				return s.change(ctx, c, by)
			}
		},
	}
}

const targets = "queue|message|messages|all ..."

var retryCommand = operation("retry", targets, "send mail now: of next hops, messages, or all", nil)

var removeCommand = operation("remove", targets, "remove messages", func(fs *flag.FlagSet) func(change) error {
	report := fs.Bool("report", false, "send a failure report (NDR) to the senders")
	return func(c change) error {
		if *report {
			c.form.Set("report", "yes")
		}
		return nil
	}
})

var redirectCommand = operation("redirect", targets, "send messages to another next hop", func(fs *flag.FlagSet) func(change) error {
	to := newParameters(fs,
		"to-connector: the `connector` of the new next hop",
		"to-destination: the `destination` of the new next hop: a domain, or the name of a\nset of smart hosts")
	return func(c change) error {
		if to.Get("to-destination") == "" {
			return wrongUsage("redirect needs -to-destination")
		}
		for name, values := range to.Values {
			c.form[name] = values
		}
		return nil
	}
})

var resubmitCommand = messageOperation("resubmit", "route messages again, as if they were new; releases poison messages and bad mail")

var expireCommand = messageOperation("expire", "expire messages now: their senders get a failure report")

// messageOperation is an operation that queues do not have.
func messageOperation(name, summary string) command {
	c := operation(name, "message|messages|all ...", summary, nil)
	c.details = messageTargetHelp
	all := c.define
	c.define = func(fs *flag.FlagSet) action {
		do := all(fs)
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) > 0 && (args[0] == "queue" || args[0] == "queues") {
				return wrongUsage("%s: select messages, for example with %s messages -queue KEY", name, name)
			}
			return do(ctx, s, args)
		}
	}
	return c
}
