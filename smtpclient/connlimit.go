package smtpclient

import (
	"slices"
	"sync"
	"time"
)

const (
	// firstProbe is how long a learned limit is kept before one more connection
	// is tried. The time doubles with each failure, up to lastProbe.
	firstProbe = time.Second
	lastProbe  = 10 * time.Minute
	// noticeTime is the wait between closing a connection to a host with a limit
	// and opening the next one, so that the host can process the close. If the
	// host still refuses the next connection, the wait is settleTime.
	noticeTime = 50 * time.Millisecond
	settleTime = 500 * time.Millisecond
	// maxHosts is the most addresses that are remembered.
	maxHosts = 10000
)

// connections counts the connections to each address and learns how many an
// address accepts at a time: the number that are open when one more is refused.
// When all are in use, a Send waits for one of them.
type connections struct {
	mu    sync.Mutex // guards all below
	hosts map[string]*hostConns
}

// hostConns are the connections to one address.
type hostConns struct {
	live    int // connections that are open or being opened
	open    int // connections with an open session
	limit   int // the most connections that the host accepts; 0 means unknown
	waiters []*waiter

	probing  bool          // a connection above the limit is being tried
	probeAt  time.Time     // when the next connection above the limit may be tried
	probe    time.Duration // the wait before that
	closedAt time.Time     // when a connection was last closed
	holdTo   time.Time     // no new connection before this time (noticeTime, settleTime)
}

// waiter is a Send that waits for a session with an address. It receives a
// session that another Send has finished with, or nil, which is the permission
// to open a new one.
type waiter struct {
	key key
	ch  chan *Client // capacity 1
}

// host returns the state of an address. The caller holds mu.
func (cs *connections) host(addr string) *hostConns {
	h := cs.hosts[addr]
	if h == nil {
		if cs.hosts == nil {
			cs.hosts = make(map[string]*hostConns)
		}
		if len(cs.hosts) >= maxHosts {
			for a, old := range cs.hosts {
				if old.live == 0 && len(old.waiters) == 0 {
					delete(cs.hosts, a) // then the limit must be learned again
				}
			}
		}
		h = &hostConns{}
		cs.hosts[addr] = h
	}
	return h
}

// acquire reports whether a connection to an address may be opened, and counts
// it. It returns false if the host would refuse the connection.
func (cs *connections) acquire(addr string, now time.Time) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	switch {
	case h.limit == 0:
	case h.live >= h.limit && now.Before(h.probeAt), now.Before(h.holdTo):
		return false
	case h.live >= h.limit:
		h.probing, h.probeAt = true, now.Add(h.probe)
	case len(h.waiters) > 0:
		return false // the waiters come first
	}
	h.live++
	return true
}

// begin counts a connection without regard to the limit.
func (cs *connections) begin(addr string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.host(addr).live++
}

// opened records that a session was opened.
func (cs *connections) opened(addr string, now time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	h.open++
	if h.limit > 0 && h.open > h.limit {
		h.limit, h.probing, h.probe, h.probeAt = h.open, false, firstProbe, now // the host may accept even more
	}
	h.grant(now)
}

// failed records that a connection did not become a session. refused means that
// the host refused the connection itself. failed reports whether the host
// accepts no more connections.
func (cs *connections) failed(addr string, refused bool, now time.Time) (full bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	h.live--
	settling := now.Sub(h.closedAt) < settleTime && !h.probing
	full = refused && (h.open > 0 || h.limit > 0 && settling)
	switch {
	case full && settling: // the host may not have processed the close yet
		if h.limit == 0 {
			h.learn(h.open+1, now)
		}
		cs.hold(addr, h, now, settleTime)
	case full:
		h.learn(h.open, now)
	}
	h.grant(now)
	return full
}

// learn sets the limit. The caller holds mu.
func (h *hostConns) learn(limit int, now time.Time) {
	if h.probing && limit == h.limit {
		h.probe = min(2*h.probe, lastProbe)
	} else {
		h.limit, h.probe = limit, firstProbe
	}
	h.probing = false
	h.probeAt = now.Add(h.probe)
}

// closed records that a session has ended.
func (cs *connections) closed(addr string, now time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	if h.limit > 0 && h.live >= h.limit {
		cs.hold(addr, h, now, noticeTime)
	}
	if h.probing { // the connection being tried is then not above the limit
		h.probing, h.probeAt = false, now
	}
	h.live--
	h.open--
	h.closedAt = now
	h.grant(now)
}

// hold prevents new connections for the time d. The caller holds mu.
func (cs *connections) hold(addr string, h *hostConns, now time.Time, d time.Duration) {
	h.holdTo = now.Add(d)
	time.AfterFunc(d, func() {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		cs.host(addr).grant(time.Now())
	})
}

// grant permits the first waiters to open connections, within the limit. The
// caller holds mu.
func (h *hostConns) grant(now time.Time) {
	for len(h.waiters) > 0 && h.live < max(h.limit, 1) && !now.Before(h.holdTo) {
		h.live++
		h.waiters[0].ch <- nil
		h.waiters = h.waiters[1:]
	}
}

// wait adds a waiter for an address.
func (cs *connections) wait(addr string, k key) *waiter {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	w := &waiter{k, make(chan *Client, 1)}
	h := cs.host(addr)
	h.waiters = append(h.waiters, w)
	h.grant(time.Now())
	return w
}

// leave removes a waiter. If the waiter has already been served, ok is true and
// c is what it received.
func (cs *connections) leave(addr string, w *waiter) (c *Client, ok bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	if i := slices.Index(h.waiters, w); i >= 0 {
		h.waiters = slices.Delete(h.waiters, i, i+1)
		return nil, false
	}
	return <-w.ch, true
}

// pass gives a session to the first waiter with the same key. If there is none,
// wanted reports whether others wait for the address; the caller must then close
// the session to make room for them.
func (cs *connections) pass(addr string, k key, c *Client) (passed, wanted bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	for i, w := range h.waiters {
		if w.key == k {
			h.waiters = slices.Delete(h.waiters, i, i+1)
			w.ch <- c
			return true, false
		}
	}
	return false, len(h.waiters) > 0
}
