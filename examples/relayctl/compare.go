package main

import (
	"context"
	"flag"
	"net/url"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
)

var compareCommand = command{
	name: "compare", args: "",
	summary: "show what the candidate of the settings would change for the mail of a day",
	details: `
The candidate is a new routing table or a new set of accepted domains that the
relay's program has, for example in a candidate file (console.Console.Candidate).
It is tested against the message tracking log. Nothing is sent or changed.`,
	define: func(fs *flag.FlagSet) action {
		p := parameters{Values: url.Values{}}
		p.times(fs,
			"since: the mail since this `time`: 2026-11-28T23:00:00Z, or 2h for two hours ago\n(default 24 hours before -until)",
			"until: the mail until this `time`, in the forms of -since (default now)")
		reason := fs.String("reason", "", "why, a `text` for the audit log")
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) > 0 {
				return wrongUsage("compare takes only flags: the relay reads the candidate")
			}
			p.Set("reason", *reason)
			doc, err := s.post(ctx, "/compare", p.Values)
			if err != nil {
				return notFound(err)
			}
			return showComparison(s, doc)
		}
	},
}

func showComparison(s *session, doc document) error {
	var r compare.Result
	if err := doc.decode(&r); err != nil {
		return err
	}
	if s.json {
		return s.printJSON(doc)
	}
	if r.Candidate != "" {
		s.print("Candidate: %s", r.Candidate)
	}
	for line := range strings.Lines(r.String()) {
		s.print("%s", strings.TrimSuffix(line, "\n"))
	}
	return nil
}
