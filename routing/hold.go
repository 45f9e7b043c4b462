package routing

import (
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Pace implements queue.Pacer: mail waits, without costing attempts, while a
// connector's schedule is closed or nobody has asked for it.
func (r *Router) Pace(hop queue.NextHop) queue.Pace {
	c := r.table().byName[hop.Connector]
	if c == nil {
		return queue.Pace{}
	}
	p := queue.Pace{MaxConcurrency: c.MaxConcurrency, Retry: c.Retry, Expire: c.Expire}
	p.Held, p.Until = r.held(c, hop, time.Now())
	return p
}

// heldBack says whether mail that takes this way would have to wait.
func (r *Router) heldBack(c *connector, hop queue.NextHop) bool {
	if !c.Hold && c.Schedule == nil && c.OversizeSchedule == nil {
		return false
	}
	held, _ := r.held(c, hop, time.Now())
	return held
}

// held says whether a hop's mail waits, and until when where that is known.
func (r *Router) held(c *connector, hop queue.NextHop, now time.Time) (bool, time.Time) {
	if c.Hold && !r.triggers.has(hop, now) {
		return true, time.Time{}
	}
	s := c.Schedule
	if _, large := cutOversize(hop.Destination); large {
		s = c.OversizeSchedule
	}
	if s.Open(now) {
		return false, time.Time{}
	}
	return true, s.Opens(now)
}

// triggers are the hops that somebody has asked for, and until when they are
// open for it.
type triggers struct {
	mu    sync.Mutex // guards until
	until map[queue.NextHop]time.Time
}

func (t *triggers) has(hop queue.NextHop, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	until, there := t.until[hop]
	if there && !now.Before(until) {
		delete(t.until, hop)
		there = false
	}
	return there
}

func (t *triggers) open(hop queue.NextHop, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.until == nil {
		t.until = make(map[queue.NextHop]time.Time)
	}
	t.until[hop] = until
}
