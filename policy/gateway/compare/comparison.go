package compare

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// A Candidate has settings that are not in use yet. At least one field must be
// set.
type Candidate struct {
	// Name says where the settings come from, for display, for example the name
	// of a file.
	Name string
	// Table is the new routing table: a *routing.Table. If it is nil, the table
	// in use remains. If the destinations of accepted domains change, make a new
	// table too, with routing.Site.Accepted.
	Table gateway.RoutingTable
	// Domains are the new accepted domains of all receive connectors that have
	// accepted domains now. If it is nil, the domains in use remain. An empty
	// list that is not nil means that no domain is accepted.
	Domains []policy.Domain
}

// Limits bound the work and the memory of a comparison. The zero value of a field
// means its default.
type Limits struct {
	// Entries is the maximum number of lines of the log that are examined.
	// Default 5,000,000.
	Entries int64
	// Time is the maximum duration. Default 1 minute.
	Time time.Duration
	// Domains is the maximum number of recipient domains with a result of their
	// own. All others are counted together (Result.Other). Default 10,000.
	Domains int
}

// Examples is the maximum number of examples of one change.
const Examples = 3

func (l Limits) withDefaults() Limits {
	if l.Entries <= 0 {
		l.Entries = 5_000_000
	}
	if l.Time <= 0 {
		l.Time = time.Minute
	}
	if l.Domains <= 0 {
		l.Domains = 10_000
	}
	return l
}

// A Comparison compares a candidate with the settings of a running relay. It may be
// used more than once, and by several goroutines.
type Comparison struct {
	// Gateway is the relay. Its Queue.Deliverer must be a routing.Router.
	Gateway   *gateway.Gateway
	Candidate Candidate
	Limits    Limits
}

// Log compares with the lines of the tracking log in the folder dir from since to
// until. If both are zero, it is the log of the last 24 hours. See Run.
func (c *Comparison) Log(ctx context.Context, dir string, since, until time.Time) (*Result, error) {
	if since.IsZero() && until.IsZero() {
		since = time.Now().Add(-24 * time.Hour)
	}
	return c.Run(ctx, Entries(ctx, dir, since, until))
}

// Run compares with the entries, which are those of a tracking log in the order of
// time. An error among the entries ends the comparison, and Run returns it. When a
// limit is reached, the result is about the entries before that (Result.Partial).
// When ctx ends, Run returns its error.
func (c *Comparison) Run(ctx context.Context, entries iter.Seq2[*tracking.Entry, error]) (*Result, error) {
	before, after, err := c.settings()
	if err != nil {
		return nil, err
	}
	limits := c.Limits.withDefaults()
	w := &work{before: before, after: after, collector: newCollector(limits.Domains)}
	end := time.Now().Add(limits.Time)
	partial := ""
	for e, err := range entries {
		if err != nil {
			return nil, fmt.Errorf("compare: %w", err)
		}
		if w.entries == limits.Entries {
			partial = fmt.Sprintf("only the first %d lines were examined", limits.Entries)
			break
		}
		if w.entries%256 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if !time.Now().Before(end) {
				partial = fmt.Sprintf("only the lines that could be examined within %v", limits.Time)
				break
			}
		}
		w.entry(ctx, e)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := w.result()
	r.Candidate, r.Partial = c.Candidate.Name, partial
	return r, nil
}

// settings prepares both settings.
func (c *Comparison) settings() (before, after *settings, err error) {
	switch {
	case c.Gateway == nil:
		return nil, nil, errors.New("compare: Comparison.Gateway is not set")
	case c.Candidate.Table == nil && c.Candidate.Domains == nil:
		return nil, nil, errors.New("compare: the Candidate has neither a Table nor Domains")
	}
	r := c.Gateway.Routing()
	if r == nil {
		return nil, nil, errors.New("compare: the Deliverer of the queue is not a routing.Router")
	}
	connectors := c.Gateway.ReceiveConnectors()
	before, after = &settings{}, &settings{}
	if before.plan, err = r.PlanRoutes(nil); err != nil {
		return nil, nil, fmt.Errorf("compare: %w", err)
	}
	if after.plan, err = r.PlanRoutes(c.Candidate.Table); err != nil {
		return nil, nil, fmt.Errorf("compare: Candidate.Table: %w", err)
	}
	if before.gates, err = gatesOf(connectors, nil); err != nil {
		return nil, nil, fmt.Errorf("compare: %w", err)
	}
	if after.gates, err = gatesOf(connectors, c.Candidate.Domains); err != nil {
		return nil, nil, fmt.Errorf("compare: Candidate.Domains: %w", err)
	}
	return before, after, nil
}

// Entries returns the lines of the tracking log in the folder dir from since to
// until, the oldest first, for [Comparison.Run]. Lines that cannot be read are
// skipped.
func Entries(ctx context.Context, dir string, since, until time.Time) iter.Seq2[*tracking.Entry, error] {
	return func(yield func(*tracking.Entry, error) bool) {
		o := tracking.Options{OldestFirst: true, Limit: 10_000}
		for {
			page, err := tracking.Find(ctx, dir, tracking.Filter{Since: since, Until: until}, o)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
			if page.Complete {
				return
			}
			o.Cursor = page.Cursor
		}
	}
}
