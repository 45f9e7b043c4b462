package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A change is a POST request that changes something.
type change struct {
	path string
	form url.Values
	// counts is what the preview counts, and counted what the result counts, in
	// the singular.
	counts, counted string
	// filter is set if the messages are selected by a filter: there may be none.
	filter bool
	// grows is set if others may arrive, and the change has the parameter before.
	grows bool
}

// A confirmation has the flags of a change.
type confirmation struct {
	yes    bool
	reason string
}

func confirms(fs *flag.FlagSet) *confirmation {
	c := &confirmation{}
	fs.BoolVar(&c.yes, "yes", false, "make the change; without -yes, show what would change")
	fs.StringVar(&c.reason, "reason", "", "why, a `text` for the audit log; -yes needs it")
	return c
}

// check returns an error if the flags contradict each other.
func (c *confirmation) check() error {
	c.reason = strings.TrimSpace(c.reason)
	if c.yes && c.reason == "" {
		return wrongUsage("-yes needs a -reason, which the audit log records")
	}
	return nil
}

// An outcome is the answer to a change.
type outcome struct {
	Action        string
	Count         int
	AtLeast, Done bool
	Skipped       map[string]int // messages, by the node that delivers them
}

// change does a change if it is confirmed.
func (s *session) change(ctx context.Context, c change, by *confirmation) error {
	if err := by.check(); err != nil {
		return err
	}
	if !by.yes {
		if err := s.preview(ctx, c); err != nil {
			return err
		}
		if err := s.confirm(ctx, by); err != nil {
			return err
		}
	}
	c.form.Set("confirm", "yes")
	c.form.Set("reason", by.reason)
	doc, err := s.post(ctx, c.path, c.form)
	if err != nil {
		return notFound(err)
	}
	var o outcome
	if err := doc.decode(&o); err != nil {
		return err
	}
	if s.json {
		if err := s.printJSON(doc); err != nil {
			return err
		}
	} else {
		s.print("%s: done, %s", o.Action, plural(o.Count, c.counted))
		for _, node := range slices.Sorted(maps.Keys(o.Skipped)) {
			s.print("skipped, because the node %s delivers them: %s", node, plural(o.Skipped[node], "message"))
		}
	}
	if c.filter && o.Count == 0 {
		return errNoMessages
	}
	return nil
}

var errNoMessages = &nothingError{"no message in the queue matches; nothing has changed"}

// preview shows what a change would do.
func (s *session) preview(ctx context.Context, c change) error {
	if (c.filter || c.grows) && c.form.Get("before") == "" {
		// The answer to the question is about the messages that are counted now.
		c.form.Set("before", time.Now().UTC().Format(time.RFC3339Nano))
	}
	doc, err := s.post(ctx, c.path, c.form)
	if err != nil {
		return notFound(err)
	}
	var o outcome
	if err := doc.decode(&o); err != nil {
		return err
	}
	if s.json {
		if err := s.printJSON(doc); err != nil {
			return err
		}
	} else {
		least := ""
		if o.AtLeast {
			least = "at least "
		}
		s.print("%s: %s%s", o.Action, least, plural(o.Count, c.counts))
		if err := s.examples(ctx, c); err != nil {
			return err
		}
	}
	if c.filter && o.Count == 0 {
		return errNoMessages
	}
	return nil
}

// maxExamples is the number of messages that a preview shows.
const maxExamples = 5

// examples shows the queues of a change, or some of its messages.
func (s *session) examples(ctx context.Context, c change) error {
	if keys := c.form["queue"]; len(keys) > 1 && !c.filter {
		for _, key := range keys {
			s.print("  %s", key)
		}
		return nil
	}
	if !c.filter {
		return nil
	}
	p := parameters{Values: url.Values{}}
	for name, values := range c.form {
		if name != "all" && name != "report" && !strings.HasPrefix(name, "to-") {
			p.Values[name] = values
		}
	}
	t, shown, more, err := s.tableOfMessages(ctx, p, maxExamples)
	if err != nil || shown == 0 {
		return err
	}
	if err := t.write(s.out); err != nil {
		return err
	}
	if more {
		s.print("and more")
	}
	return nil
}

// confirm asks on the terminal for the confirmation, and for the reason if there
// is none.
func (s *session) confirm(ctx context.Context, by *confirmation) error {
	if !s.interactive {
		return errUnconfirmed
	}
	r := bufio.NewReader(s.in)
	if by.reason == "" {
		reason, err := s.ask(ctx, r, "Reason (for the audit log): ")
		if err != nil || reason == "" {
			return errUnconfirmed
		}
		by.reason = reason
	}
	answer, err := s.ask(ctx, r, "Do it? [y/N] ")
	if a := strings.ToLower(answer); err != nil || a != "y" && a != "yes" {
		return errUnconfirmed
	}
	return nil
}

// ask returns the answer to a question. It also ends with ctx.
func (s *session) ask(ctx context.Context, r *bufio.Reader, question string) (string, error) {
	fmt.Fprint(s.err, question)
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := r.ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return strings.TrimSpace(l.text), l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
