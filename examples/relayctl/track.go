package main

import (
	"context"
	"flag"
	"net/url"
	"strings"
	"time"
)

var trackCommand = command{
	name: "track", args: "[ID]",
	summary: "search the message tracking log, or show what happened to one message",
	details: `
With the ID of a message, the command shows its timeline, also if the message has
left the queue. Otherwise an entry of the log must match all flags; in a text, *
matches any characters. The newest entry comes first.`,
	define: func(fs *flag.FlagSet) action {
		p := newParameters(fs,
			"sender: the reverse-path is `address`",
			"recipient: a recipient is `address`",
			"message-id: the field Message-ID of the header is `text`",
			"subject: the subject is `text`",
			"event: the `event`, for example RECEIVE, SEND, DEFER or FAIL")
		p.times(fs,
			"since: at this `time` or later: 2026-11-28T23:00:00Z, or 2h for two hours ago",
			"until: until this `time`, in the forms of -since")
		limit := fs.Int("limit", 100, "the maximum `number` of entries; 0 means all")
		return func(ctx context.Context, s *session, args []string) error {
			switch {
			case len(args) == 1 && len(p.Values) > 0 || len(args) > 1:
				return wrongUsage("track takes one ID, or flags")
			case len(args) == 1:
				return trackOne(ctx, s, args[0])
			}
			return track(ctx, s, p, *limit)
		}
	},
}

// A trackingEntry is an entry of the tracking log in a list.
type trackingEntry struct {
	Time                       time.Time
	Event, ID, Sender, Subject string
	Recipients                 []string
	Client, Host, Reply, Text  string
}

func track(ctx context.Context, s *session, p parameters, limit int) error {
	t := newTable("TIME", "EVENT", "MESSAGE", "SENDER", "RECIPIENTS", "SUBJECT", "CLIENT", "HOST", "TEXT")
	shown, more := 0, false
	p.next = "cursor"
	err := s.pages(ctx, "/tracking", p, limit, func(doc document) (int, string, error) {
		var page struct {
			Entries []trackingEntry
			Next    string
		}
		if err := doc.decode(&page); err != nil {
			return 0, "", err
		}
		shown, more = shown+len(page.Entries), page.Next != ""
		for _, e := range page.Entries {
			t.add(stamp(e.Time), e.Event, e.ID, angle(e.Sender), first(e.Recipients, len(e.Recipients)), short(e.Subject, maxSubject), e.Client, e.Host, strings.TrimSpace(e.Reply+" "+e.Text))
		}
		return len(page.Entries), page.Next, nil
	})
	switch {
	case err != nil:
		return err
	case shown == 0:
		return &nothingError{"no entry of the tracking log matches"}
	case s.json:
		return nil
	}
	if err := t.write(s.out); err != nil {
		return err
	}
	if more {
		s.note("there are more entries; -limit 0 shows all")
	}
	return nil
}

// trackOne shows the timeline of a message.
func trackOne(ctx context.Context, s *session, id string) error {
	doc, err := s.get(ctx, "/tracking/"+url.PathEscape(id), nil)
	if err != nil {
		return notFound(err)
	}
	var v struct{ Entries []event }
	if err := doc.decode(&v); err != nil {
		return err
	}
	if s.json {
		if err := s.printJSON(doc); err != nil {
			return err
		}
	}
	if len(v.Entries) == 0 {
		return &nothingError{"the tracking log does not have the message " + id}
	}
	if s.json {
		return nil
	}
	return writeTimeline(s, v.Entries)
}
