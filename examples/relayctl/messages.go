package main

import (
	"context"
	"flag"
	"net/url"
	"time"
)

// selects adds the flags that select messages.
func selects(fs *flag.FlagSet) parameters {
	p := newParameters(fs,
		"sender: the reverse-path is `address`; * matches any text; <> is the null\nreverse-path",
		"recipient: a recipient that waits is `address`; * matches any text",
		"subject: the subject is `text`; * matches any text",
		"client: the IP address of the client is `address`; * matches any text",
		"status: the `status` is ready, active, retry, held, suspended, pending suspend,\npending remove, poison, bad mail or results",
		"queue: the message waits for the next hop with this `key`",
		"connector: the next hop has this `connector`, and the destination of -destination",
		"destination: the next hop has this `destination`, and the connector of -connector",
		"min-size: the size is at least this `number` of bytes",
		"max-size: the size is at most this `number` of bytes")
	p.times(fs,
		"since: received at this `time` or later: 2026-11-28T23:00:00Z, or 2h for two hours ago",
		"before: received before this `time`, in the forms of -since")
	fs.Func("label", "the message has the label `key=value`; may be repeated", func(value string) error {
		if value == "" {
			return errEmpty
		}
		p.Add("label", value)
		return nil
	})
	return p
}

var messagesCommand = command{
	name: "messages", args: "",
	summary: "search the messages in the queue",
	details: `
A message must match all flags. The oldest comes first.`,
	define: func(fs *flag.FlagSet) action {
		p := selects(fs)
		limit := fs.Int("limit", 100, "the maximum `number` of messages; 0 means all")
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) > 0 {
				return wrongUsage("messages takes only flags; \"relayctl show ID\" shows one message")
			}
			return listMessages(ctx, s, p, *limit)
		}
	},
}

// A messagePage is a page of /messages.
type messagePage struct {
	Messages []message
	Next     string
}

// A message is a row of a list of messages.
type message struct {
	ID, Sender     string
	Recipients     []string
	RecipientCount int
	Subject        string
	Status         string
	Size           int64
	Received       time.Time
	Client         string
	Connector      string
	Queues         []nextHop
	Labels         map[string]string
	Due, Expires   time.Time
	LastError      string
}

// maxSubject is the maximum number of characters of a subject in a list.
const maxSubject = 40

func listMessages(ctx context.Context, s *session, p parameters, limit int) error {
	t, shown, more, err := s.tableOfMessages(ctx, p, limit)
	switch {
	case err != nil:
		return err
	case shown == 0:
		return &nothingError{"no message in the queue matches"}
	case s.json:
		return nil
	}
	if err := t.write(s.out); err != nil {
		return err
	}
	if more {
		s.note("there are more messages; -limit 0 shows all")
	}
	return nil
}

// tableOfMessages returns the table of the messages, how many it has, and whether
// there may be more. With -json it prints the pages.
func (s *session) tableOfMessages(ctx context.Context, p parameters, limit int) (t *table, shown int, more bool, err error) {
	t = newTable("ID", "AGE", "STATUS", ">SIZE", "SENDER", "RECIPIENTS", "SUBJECT", "QUEUE", "ERROR")
	err = s.pages(ctx, "/messages", p, limit, func(doc document) (int, string, error) {
		var page messagePage
		if err := doc.decode(&page); err != nil {
			return 0, "", err
		}
		shown, more = shown+len(page.Messages), page.Next != ""
		for _, m := range page.Messages {
			hops := make([]string, len(m.Queues))
			for i, hop := range m.Queues {
				hops[i] = hop.Key
			}
			t.add(m.ID, age(m.Received), m.Status, size(m.Size), angle(m.Sender), first(m.Recipients, m.RecipientCount), short(m.Subject, maxSubject), first(hops, len(hops)), m.LastError)
		}
		return len(page.Messages), page.Next, nil
	})
	return t, shown, more, err
}

// messageAt returns the path of a message in the API.
func messageAt(id string) string { return "/messages/" + url.PathEscape(id) }
