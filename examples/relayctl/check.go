package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
)

var checkCommand = command{
	name: "check", args: "",
	summary: "check the settings of the relay, its DNS records and its smart hosts",
	details: `
The exit status is 1 if there is a finding of the severity error.`,
	define: func(fs *flag.FlagSet) action {
		reason := fs.String("reason", "", "why, a `text` for the audit log")
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) > 0 {
				return wrongUsage("check takes only flags")
			}
			doc, err := s.post(ctx, "/check", url.Values{"reason": {*reason}})
			if err != nil {
				return err
			}
			return showFindings(s, doc)
		}
	},
}

func showFindings(s *session, doc document) error {
	var v struct {
		Findings []struct{ Severity, Subject, Text string }
	}
	if err := doc.decode(&v); err != nil {
		return err
	}
	count := map[string]int{}
	t := newTable("SEVERITY", "SUBJECT", "TEXT")
	for _, f := range v.Findings {
		count[f.Severity]++
		t.add(f.Severity, f.Subject, f.Text)
	}
	if s.json {
		if err := s.printJSON(doc); err != nil {
			return err
		}
	} else if err := t.write(s.out); err != nil {
		return err
	}
	if n := count["error"]; n > 0 {
		return fmt.Errorf("the check has found %s", plural(n, "error"))
	}
	return nil
}
