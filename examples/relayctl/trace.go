package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"time"
)

var traceCommand = command{
	name: "trace", args: "[on ADDRESS | off]",
	summary: "show, start or stop the tracing of one sender's messages",
	details: `
While a sender is traced, the relay writes copies of each of its messages before and
after each agent and hook, as files on its own host. "<>" is the sender of reports.
Tracing ends by itself. Without arguments, trace shows what is traced.`,
	define: func(fs *flag.FlagSet) action {
		by := confirms(fs)
		last := fs.Duration("for", 0, "`time` after which tracing ends by itself (default: that in the settings of the relay)")
		return func(ctx context.Context, s *session, args []string) error {
			switch {
			case len(args) == 0 && *last == 0 && !by.yes:
				return showTracing(ctx, s)
			case len(args) == 2 && args[0] == "on" && args[1] != "":
				c := change{path: "/tracing", form: url.Values{"sender": {args[1]}}, counts: "sender", counted: "sender"}
				if *last != 0 {
					c.form.Set("duration", last.String())
				}
				return s.change(ctx, c, by)
			case len(args) == 1 && args[0] == "off" && *last == 0:
				return s.change(ctx, change{path: "/tracing/stop", form: url.Values{}, counts: "sender", counted: "sender"}, by)
			}
			return wrongUsage("trace takes no arguments, or \"on\" with an address, or \"off\"; -for is for \"on\"")
		}
	},
}

func showTracing(ctx context.Context, s *session) error {
	doc, err := s.get(ctx, "/tracing", nil)
	if err != nil {
		return err
	}
	var t struct {
		Available, Running bool
		Sender, Dir, Ended string
		Since, Until       time.Time
		Messages           int
		Bytes              int64
	}
	if err := doc.decode(&t); err != nil {
		return err
	}
	if s.json {
		if err := s.printJSON(doc); err != nil {
			return err
		}
	}
	switch {
	case !t.Available:
		return &nothingError{"the relay cannot trace messages"}
	case t.Sender == "":
		return &nothingError{"no sender is traced"}
	case s.json:
		return nil
	}
	state := "until " + stamp(t.Until)
	if !t.Running {
		state = "ended: " + t.Ended
	}
	table := newTable("SENDER", "STATE", "SINCE", ">MESSAGES", ">BYTES", "FOLDER")
	table.add(t.Sender, state, stamp(t.Since), fmt.Sprint(t.Messages), fmt.Sprint(t.Bytes), t.Dir)
	return table.write(s.out)
}
