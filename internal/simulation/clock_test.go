package simulation

import (
	"sync"
	"time"
)

// A wallClock is the wall clock of the relay.
type wallClock struct {
	mu    sync.Mutex      // guards the fields below
	ahead time.Duration   // of the time of the world
	were  []time.Duration // earlier values of ahead
}

func (c *wallClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *wallClock) set(ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.were = append(c.were, c.ahead)
	c.ahead = ahead
}

// moments returns the times of the world at which the clock may have shown t.
func (c *wallClock) moments(t time.Time) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []time.Time{t.Add(-c.ahead)}
	for _, ahead := range c.were {
		all = append(all, t.Add(-ahead))
	}
	return all
}

// clockJumps sets the clock now and then, by up to two hours. After the end of the faults
// it stays as it is.
func (w *world) clockJumps() {
	rnd := w.rand("clock jumps")
	if rnd.IntN(3) > 0 {
		return // a good clock
	}
	for {
		time.Sleep(time.Duration(rnd.Int64N(int64(20 * time.Minute))))
		if w.healed.Load() {
			return
		}
		ahead := time.Duration(rnd.Int64N(int64(4*time.Hour))) - 2*time.Hour
		w.trace.add("the clock is set: %v ahead", ahead)
		w.clock.set(ahead)
	}
}
