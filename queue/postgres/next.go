package postgres

import (
	"context"
	"math"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Next implements [queue.Store]. It does not know when the leases of other nodes end.
// When that happens, the nodes get a notice.
func (s *Store) Next(ctx context.Context, c queue.Claim) (time.Time, error) {
	s.clock.learn(c.Now)
	c.ID = ""
	if err := s.prepareClaim(ctx, &c, math.MaxInt64); err != nil {
		return time.Time{}, err
	}
	if s.lanes.scanDue(true) {
		if err := s.scan(ctx); err != nil {
			return time.Time{}, err
		}
	}
	if err := s.refresh(ctx); err != nil {
		return time.Time{}, err
	}
	sel, ok, err := s.selection(ctx, &c)
	if err != nil {
		return time.Time{}, err
	}
	next := s.nextLeased(&c)
	if scan := c.Now.Add(scanInterval); s.lanes.unknown() && (next.IsZero() || next.After(scan)) {
		next = scan // may find other lanes
	}
	if !ok {
		return next, nil
	}
	ready, ok := s.lanes.first(sel)
	now := nanos(s.clock.databaseNow())
	switch {
	case !ok:
		return next, nil
	case ready == math.MinInt64: // no due time
		return c.Now, nil
	}
	if at := c.Now.Add(time.Duration(ready - now)); next.IsZero() || at.Before(next) {
		next = at
	}
	return next, nil
}

// nextLeased returns the first time at which a message that this node has leased can
// be claimed, or zero.
func (s *Store) nextLeased(c *queue.Claim) (next time.Time) {
	wallAhead := time.Duration(0)
	if !c.Wall.IsZero() {
		wallAhead = c.Wall.Sub(c.Now)
	}
	s.leases.each(func(_ string, sch *queue.Schedule) bool {
		if c.Only != nil && *c.Only != sch.Hop || c.Only == nil && c.Except[sch.Hop] {
			return true
		}
		at := sch.Due
		if sch.Wait <= 0 && !at.IsZero() {
			at = at.Add(-wallAhead)
		}
		if sch.Until.After(at) {
			at = sch.Until
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
		return true
	})
	return next
}
