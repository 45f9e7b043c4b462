package smtpclient

import (
	"math"
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
	// maxHosts is the maximum number of addresses that are remembered without a
	// connection.
	maxHosts = 10000
)

// connections counts the connections to each address. It limits them, and learns
// how many an address accepts at a time if those are fewer: the number that are
// open when one more is refused. When all are in use, a Send waits for one of
// them, or is told to come back later.
type connections struct {
	mu     sync.Mutex // guards all below
	hosts  map[string]*hostConns
	sweepN int // the number of hosts at which to forget some
}

// hostConns are the connections to one address.
type hostConns struct {
	live    int // connections that are open or being opened
	open    int // connections with an open session
	limit   int // the most connections that the host accepts; 0 means unknown
	most    int // the most connections that the Transport opens; 0 means no limit
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
	key sessionKey
	ch  chan *Client // capacity 1
}

// host returns the state of an address. The caller holds mu.
func (cs *connections) host(addr string) *hostConns {
	h := cs.hosts[addr]
	if h == nil {
		if cs.hosts == nil {
			cs.hosts = make(map[string]*hostConns)
		}
		if cs.sweepN = max(cs.sweepN, maxHosts); len(cs.hosts) >= cs.sweepN {
			for a, old := range cs.hosts {
				if old.live == 0 && len(old.waiters) == 0 {
					delete(cs.hosts, a) // then the limit must be learned again
				}
			}
			cs.sweepN = max(2*len(cs.hosts), maxHosts) // so that a sweep costs little for each host
		}
		h = &hostConns{}
		cs.hosts[addr] = h
	}
	return h
}

// rest forgets an address of which there is nothing to know. The caller holds
// mu.
func (cs *connections) rest(addr string, h *hostConns) {
	if h.live == 0 && h.limit == 0 && len(h.waiters) == 0 {
		delete(cs.hosts, addr)
	}
}

// acquire reports whether a connection to an address may be opened, and counts
// it. most is the limit of the Transport; 0 means none. learned says whether the
// limit counts that was learned from the host. If the answer is no, crowded
// reports that the end of one connection would change it.
func (cs *connections) acquire(addr string, most int, learned bool, now time.Time) (ok, crowded bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	h.most = most
	switch {
	case most > 0 && h.live >= most:
		return false, true
	case !learned:
	case h.limit > 0 && now.Before(h.holdTo):
		return false, false
	case h.limit > 0 && h.live >= h.limit && now.Before(h.probeAt):
		return false, true
	case h.limit > 0 && h.live >= h.limit:
		h.probing, h.probeAt = true, now.Add(h.probe)
	case len(h.waiters) > 0:
		return false, false // the waiters come first
	}
	h.live++
	return true, false
}

// room returns how many connections there may be.
func (h *hostConns) room() int {
	room := math.MaxInt
	for _, limit := range [...]int{h.limit, h.most} {
		if limit > 0 {
			room = min(room, limit)
		}
	}
	return room
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
	cs.rest(addr, h)
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

// inUse reports whether there are sessions with an address.
func (cs *connections) inUse(addr string) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.host(addr).open > 0
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
	cs.rest(addr, h)
}

// hold prevents new connections for the time d. The caller holds mu.
func (cs *connections) hold(addr string, h *hostConns, now time.Time, d time.Duration) {
	h.holdTo = now.Add(d)
	time.AfterFunc(d, func() {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if h := cs.hosts[addr]; h != nil {
			h.grant(time.Now())
		}
	})
}

// grant permits the first waiters to open connections, within the limit. The
// caller holds mu.
func (h *hostConns) grant(now time.Time) {
	for len(h.waiters) > 0 && h.live < h.room() && !now.Before(h.holdTo) {
		h.live++
		h.waiters[0].ch <- nil
		h.waiters = h.waiters[1:]
	}
}

// wait adds a waiter for the address of k. crowded reports that the end of one
// connection would help.
func (cs *connections) wait(k sessionKey) (w *waiter, crowded bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	w = &waiter{k, make(chan *Client, 1)}
	h := cs.host(k.addr)
	h.waiters = append(h.waiters, w)
	h.grant(time.Now())
	return w, len(w.ch) == 0 && h.live >= h.room()
}

// leave removes a waiter. If the waiter has already been served, ok is true and
// c is what it received.
func (cs *connections) leave(addr string, w *waiter) (c *Client, ok bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	if i := slices.Index(h.waiters, w); i >= 0 {
		h.waiters = slices.Delete(h.waiters, i, i+1)
		cs.rest(addr, h)
		return nil, false
	}
	return <-w.ch, true
}

// pass gives a session to the first waiter with the same key. If there is none,
// wanted reports whether others wait for the address; the caller must then close
// the session to make room for them.
func (cs *connections) pass(c *Client) (passed, wanted bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.hosts[c.key.addr]
	if h == nil {
		return false, false
	}
	for i, w := range h.waiters {
		if w.key == c.key {
			h.waiters = slices.Delete(h.waiters, i, i+1)
			w.ch <- c
			return true, false
		}
	}
	return false, len(h.waiters) > 0
}
