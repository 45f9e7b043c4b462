package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var topCommand = command{
	name: "top", args: "",
	summary: "show a live overview: totals, rates, and the next hops with problems",
	details: `
On a terminal, the overview is shown again every -interval, until it is
interrupted. Otherwise it is printed once. With -json it is one document per line.`,
	define: func(fs *flag.FlagSet) action {
		interval := fs.Duration("interval", 2*time.Second, "the time between two overviews")
		n := fs.Int("n", -1, "end after this `number` of overviews; 0 means never;\n-1 means 0 on a terminal, otherwise 1")
		return func(ctx context.Context, s *session, args []string) error {
			switch {
			case len(args) > 0:
				return wrongUsage("top takes only flags")
			case *interval < 100*time.Millisecond:
				return wrongUsage("-interval must be at least 100ms")
			case *n < 0 && s.screen:
				*n = 0
			case *n < 0:
				*n = 1
			}
			return top(ctx, s, *interval, *n)
		}
	},
}

// The control sequences of a terminal (ECMA-48): cursor to the first place, erase
// to the end of the line, erase to the end of the screen.
const (
	cursorHome  = "\x1b[H"
	eraseLine   = "\x1b[K"
	eraseScreen = "\x1b[J"
)

// top shows the overview n times, or until ctx ends.
func top(ctx context.Context, s *session, interval time.Duration, n int) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := 1; ; i++ {
		doc, err := s.get(ctx, "/overview", nil)
		if err != nil {
			if n == 0 && ctx.Err() != nil {
				return nil // interrupted
			}
			return err
		}
		if err := s.showOverview(doc, i > 1); err != nil {
			return err
		}
		if i == n {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if n == 0 {
				return nil
			}
			return ctx.Err()
		}
	}
}

// showOverview prints the overview. On a terminal it replaces the last one.
func (s *session) showOverview(doc document, again bool) error {
	if s.json {
		return s.printJSON(doc)
	}
	var v overview
	if err := doc.decode(&v); err != nil {
		return err
	}
	text, err := v.text()
	switch {
	case err != nil:
		return err
	case s.screen && !again:
		text = cursorHome + eraseScreen + text
	case s.screen:
		text = cursorHome + strings.ReplaceAll(text, "\n", eraseLine+"\n") + eraseScreen
	case again:
		text = "\n" + text
	}
	_, err = fmt.Fprint(s.out, text)
	return err
}

// An overview is the document of /overview.
type overview struct {
	Hostname string
	Health   struct {
		OK     bool
		Checks []struct {
			Name   string
			OK     bool
			Detail string
		}
	}
	Totals struct {
		Time                                  time.Time
		Messages                              int
		Bytes                                 int64
		Oldest                                time.Time
		Active, Waiting                       int
		Suspended, Poison, BadMail            int
		Queues, QueuesInRetry                 int
		Accepted, Delivered                   int64
		Deferred, Failed                      int64
		AcceptedPerSecond, DeliveredPerSecond float64
		FreeBytes                             int64
	}
	Usage struct {
		Deliveries, MaxDeliveries int
		Active, MaxActive         int
	}
	Limit   *limit
	Frozen  bool
	Largest []nextHop
	Retry   []nextHop
}

// text returns the overview for people.
func (v *overview) text() (string, error) {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(inert(fmt.Sprintf(format, args...)) + "\n") }
	t := v.Totals
	state := "healthy"
	if !v.Health.OK {
		state = "NOT HEALTHY"
	}
	if v.Frozen {
		state += ", receiving is paused"
	}
	line("%s: %s  %s", v.Hostname, state, stamp(t.Time))
	for _, c := range v.Health.Checks {
		if !c.OK {
			line("  %s: %s", c.Name, c.Detail)
		}
	}
	oldest := age(t.Oldest)
	if oldest == "" {
		oldest = "-"
	}
	free := "unknown"
	if t.FreeBytes >= 0 {
		free = size(t.FreeBytes)
	}
	line("messages %d, %s, oldest %s; active %d, waiting %d, suspended %d, poison %d, bad mail %d", t.Messages, size(t.Bytes), oldest, t.Active, t.Waiting, t.Suspended, t.Poison, t.BadMail)
	line("next hops %d, not reachable %d; disk free %s", t.Queues, t.QueuesInRetry, free)
	if v.Limit != nil {
		line("mail waits: %s", v.Limit.Text)
	}
	line("deliveries %d of %d, active messages %d of %d", v.Usage.Deliveries, v.Usage.MaxDeliveries, v.Usage.Active, v.Usage.MaxActive)
	line("accepted %d (%.1f/s), delivered %d (%.1f/s), deferred %d, failed %d", t.Accepted, t.AcceptedPerSecond, t.Delivered, t.DeliveredPerSecond, t.Deferred, t.Failed)
	if len(v.Largest) > 0 {
		line("")
		tab := newTable("LARGEST QUEUES", "STATUS", ">MESSAGES", ">SIZE", "OLDEST", ">IN/MIN", ">OUT/MIN", "DELIVERIES", "LIMIT")
		for _, q := range v.Largest {
			tab.add(q.Key, q.Status, strconv.Itoa(q.Messages), size(q.Bytes), age(q.Oldest), rate(q.InPerMinute), rate(q.OutPerMinute), fmt.Sprintf("%d of %d", q.Deliveries, q.Concurrency), q.limitKind())
		}
		if err := tab.write(&b); err != nil {
			return "", err
		}
	}
	if len(v.Retry) > 0 {
		line("")
		tab := newTable("NOT REACHABLE", ">MESSAGES", "OLDEST", "RETRY", "ERROR")
		for _, q := range v.Retry {
			tab.add(q.Key, strconv.Itoa(q.Messages), age(q.Oldest), until(q.NextRetry), q.LastError)
		}
		if err := tab.write(&b); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}
