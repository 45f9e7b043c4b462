package policy

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// This file counts together with other nodes: see Rates.Shared. The agent never waits.
// It counts what it has not told the others yet, and adds what all nodes had counted
// when they last answered.

const (
	// ratesInterval is the least time between two exchanges of counts.
	ratesInterval = 200 * time.Millisecond
	// ratesRetry is the time after an exchange that has failed.
	ratesRetry = time.Second
	// ratesTimeout is the maximum duration of an exchange.
	ratesTimeout = 2 * time.Second
	// ratesKeys is the maximum number of counts in one exchange.
	ratesKeys = 5000
)

// A sharedWindow is what is known of the count of all nodes for one key.
type sharedWindow struct {
	total   [2]float64 // messages, recipients of all nodes, as of
	at      time.Time
	pending [2]int // what this node has counted and not told yet
}

// count estimates the count of all nodes. It assumes that what was counted until w.at
// leaves the period at equal intervals.
func (w *sharedWindow) count(i int, per time.Duration, now time.Time) float64 {
	left := max(1-float64(now.Sub(w.at))/float64(per), 0)
	return left*w.total[i] + float64(w.pending[i])
}

// A rateExchange tells the other nodes what this one has counted, and asks for the
// counts of all. It has a goroutine only while it does so.
type rateExchange struct {
	shared   queue.CountSharer
	counters []*rateCounter

	mu        sync.Mutex // guards all below
	scheduled bool       // or in progress
	last      time.Time  // when the last exchange began
	down      bool       // it has failed
}

// schedule makes an exchange happen soon.
func (x *rateExchange) schedule() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.scheduled {
		return
	}
	x.scheduled = true
	wait := ratesInterval
	if x.down {
		wait = ratesRetry
	}
	time.AfterFunc(max(time.Until(x.last.Add(wait)), 0), x.run)
}

// limit returns the part of a limit that this node applies without the others' answer.
// ok is false if the last exchange has succeeded, so that the whole limit applies.
func (x *rateExchange) limit(limit int) (part int, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.down {
		return limit, false
	}
	return queue.LimitWithoutContact(limit, x.shared.Members()), true
}

// A rateDelta is what an exchange tells about one key.
type rateDelta struct {
	counter *rateCounter
	key     string
	sent    [2]int
}

// run exchanges counts.
func (x *rateExchange) run() {
	x.mu.Lock()
	x.last = time.Now()
	x.mu.Unlock()
	var deltas []rateDelta
	var counts []queue.SharedCount
	for _, c := range x.counters {
		deltas, counts = c.collect(deltas, counts)
	}
	ctx, cancel := context.WithTimeout(context.Background(), ratesTimeout)
	totals, err := x.shared.AddCounts(ctx, counts)
	cancel()
	ok := err == nil && len(totals) == len(deltas)
	for i := range deltas {
		d := &deltas[i]
		if ok {
			d.counter.answered(d, &totals[i])
		} else {
			d.counter.again(d.key)
		}
	}
	x.mu.Lock()
	x.down, x.scheduled = !ok, false
	x.mu.Unlock()
	for _, c := range x.counters {
		if c.hasDirty() {
			x.schedule()
			return
		}
	}
}

// collect appends what the exchange must tell, up to ratesKeys.
func (c *rateCounter) collect(deltas []rateDelta, counts []queue.SharedCount) ([]rateDelta, []queue.SharedCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.dirty {
		if len(deltas) == ratesKeys {
			break
		}
		delete(c.dirty, key)
		w := c.windows.m[key]
		if w == nil {
			continue // it was removed for lack of room
		}
		now := time.Now()
		w.advance(c.rate.Per, now)
		for i, n := range w.shared.pending { // what was counted long ago, while there was no contact, does not count
			w.shared.pending[i] = min(n, int(math.Ceil(w.count(i, c.rate.Per, now))))
		}
		deltas = append(deltas, rateDelta{c, key, w.shared.pending})
		counts = append(counts, queue.SharedCount{Key: c.name + key, Per: c.rate.Per,
			Messages: float64(w.shared.pending[0]), Recipients: float64(w.shared.pending[1])})
	}
	return deltas, counts
}

// answered notes the count of all nodes.
func (c *rateCounter) answered(d *rateDelta, total *queue.SharedCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.windows.m[d.key]; w != nil {
		w.shared.total, w.shared.at = [2]float64{total.Messages, total.Recipients}, time.Now()
		for i, n := range d.sent {
			w.shared.pending[i] = max(w.shared.pending[i]-n, 0)
		}
	}
}

// again has the next exchange tell about a key. The caller does not have the lock.
func (c *rateCounter) again(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty[key] = true
}

func (c *rateCounter) hasDirty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.dirty) > 0
}

// share makes the counter count together with other nodes. number is that of its Rate.
// Nodes with other limits count separately.
func (c *rateCounter) share(x *rateExchange, number int) {
	c.exchange, c.dirty = x, make(map[string]bool)
	c.name = fmt.Sprintf("policy.Rates %d %d %d %d %v ", number, c.rate.By, c.rate.Messages, c.rate.Recipients, c.rate.Per)
}
