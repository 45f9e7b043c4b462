package smtpclient

import (
	"sync"
	"time"
)

// places remembers with which host each destination had its last session. A
// destination whose own session is used by others finds the sessions with that
// host without a lookup. A place is forgotten when the destination has not used
// it for a while, and when its lookup is as old as a session may get.
type places struct {
	mu     sync.Mutex     // guards all below
	young  map[key]*place // used since turned
	old    map[key]*place // used before
	turned time.Time
}

type place struct {
	key   sessionKey
	found time.Time // when the hosts were looked up
}

// maxPlaces is the maximum number of places in each half. A place that is
// forgotten costs a lookup.
const maxPlaces = 16384

// get returns the place of a destination, or nil. keep is how long a place is
// remembered that is not used, age how long it is at most.
func (p *places) get(k key, now time.Time, keep, age time.Duration) *sessionKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(now, keep)
	at := p.young[k]
	if at == nil {
		if at = p.old[k]; at == nil {
			return nil
		}
		p.young[k] = at
	}
	if now.Sub(at.found) >= age {
		delete(p.young, k)
		delete(p.old, k)
		return nil
	}
	return &at.key
}

func (p *places) put(k key, sk sessionKey, now time.Time, keep time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(now, keep)
	p.young[k] = &place{sk, now}
}

// turn forgets the older half when the younger one is full or old. The caller
// holds mu.
func (p *places) turn(now time.Time, keep time.Duration) {
	if p.young == nil || len(p.young) >= maxPlaces || now.Sub(p.turned) >= keep {
		if now.Sub(p.turned) >= 2*keep {
			p.young = nil
		}
		p.old, p.young, p.turned = p.young, make(map[key]*place), now
	}
}
