package smtpclient

import (
	"sync"
	"time"
)

// maxDown bounds the addresses that are remembered as unreachable.
const maxDown = 4096

// downList remembers addresses with which no session came about.
type downList struct {
	mu    sync.Mutex // guards until
	until map[string]time.Time
}

func (d *downList) add(addr string, now time.Time, forTime time.Duration) {
	if forTime <= 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil {
		d.until = make(map[string]time.Time)
	}
	if len(d.until) >= maxDown {
		for a, u := range d.until {
			if !now.Before(u) {
				delete(d.until, a)
			}
		}
		if len(d.until) >= maxDown {
			return // forgetting costs a connection attempt, no more
		}
	}
	d.until[addr] = now.Add(forTime)
}

func (d *downList) has(addr string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	u, ok := d.until[addr]
	return ok && now.Before(u)
}

func (d *downList) remove(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.until, addr)
}
