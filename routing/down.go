package routing

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// downHops records which next hops were unreachable recently, so that mail
// uses an alternative at once if there is one.
type downHops struct {
	count atomic.Int32 // len(until): avoids the lock while no hop is down
	mu    sync.Mutex   // guards until
	until map[queue.NextHop]time.Time
}

const maxDownHops = 10000

func (d *downHops) has(hop queue.NextHop) bool {
	if d.count.Load() == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	until, there := d.until[hop]
	if there && !time.Now().Before(until) {
		delete(d.until, hop)
		d.count.Store(int32(len(d.until)))
		there = false
	}
	return there
}

func (d *downHops) mark(hop queue.NextHop, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil || len(d.until) >= maxDownHops { // the cost of a reset is one attempt for each hop
		d.until = make(map[queue.NextHop]time.Time)
	}
	d.until[hop] = until
	d.count.Store(int32(len(d.until)))
}

func (d *downHops) clear(hop queue.NextHop) {
	if d.count.Load() == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.until, hop)
	d.count.Store(int32(len(d.until)))
}
