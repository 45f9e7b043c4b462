package smtpclient

import (
	"slices"
	"sync"
	"time"
)

const (
	// firstProbe and lastProbe are how long a learned limit is kept before one
	// connection more is tried, at first and after that failed again and again.
	firstProbe = time.Second
	lastProbe  = 10 * time.Minute
	// noticeTime is how long a host with a limit is left alone after one of its
	// connections was closed, so that it can notice. When it then still refuses
	// the next one, it has settleTime.
	noticeTime = 50 * time.Millisecond
	settleTime = 500 * time.Millisecond
	// maxHosts bounds the addresses that are remembered.
	maxHosts = 10000
)

// connections counts the connections to each address, and learns how many an
// address accepts at a time: as many as are open when another one is refused.
// A Send that finds them all in use waits for one.
type connections struct {
	mu    sync.Mutex // guards all below
	hosts map[string]*hostConns
}

// hostConns are the connections to one address.
type hostConns struct {
	live    int // connections that are open, or being opened
	open    int // those with which a session came about
	limit   int // how many the host accepts; 0 is not known
	waiters []*waiter

	probing  bool          // a connection above the limit is being tried;
	probeAt  time.Time     // the next one may be from here on,
	probe    time.Duration // after so long
	closedAt time.Time     // one of ours was closed
	holdTo   time.Time     // no connection before: the host must notice that
}

// waiter is a Send that waits for a session with an address: one that another
// Send has put back, or, for nil, the permission to open one.
type waiter struct {
	key key
	ch  chan *Client // has room for one
}

// host returns what is known of an address. The caller holds mu.
func (cs *connections) host(addr string) *hostConns {
	h := cs.hosts[addr]
	if h == nil {
		if cs.hosts == nil {
			cs.hosts = make(map[string]*hostConns)
		}
		if len(cs.hosts) >= maxHosts {
			for a, old := range cs.hosts {
				if old.live == 0 && len(old.waiters) == 0 {
					delete(cs.hosts, a) // forgetting costs refused connections
				}
			}
		}
		h = &hostConns{}
		cs.hosts[addr] = h
	}
	return h
}

// acquire counts a connection to an address, unless the host would refuse it.
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
		return false // they were here before
	}
	h.live++
	return true
}

// begin counts a connection in any case.
func (cs *connections) begin(addr string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.host(addr).live++
}

// opened says that a session came about.
func (cs *connections) opened(addr string, now time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	h.open++
	if h.limit > 0 && h.open > h.limit {
		h.limit, h.probing, h.probe, h.probeAt = h.open, false, firstProbe, now // perhaps even more
	}
	h.grant(now)
}

// failed says that no session came about; refused, that the host refused the
// connection as such. It says whether the host accepts no more.
func (cs *connections) failed(addr string, refused bool, now time.Time) (full bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	h.live--
	settling := now.Sub(h.closedAt) < settleTime && !h.probing
	full = refused && (h.open > 0 || h.limit > 0 && settling)
	switch {
	case full && settling: // perhaps the host has not noticed yet
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

// learn keeps to a limit. The caller holds mu.
func (h *hostConns) learn(limit int, now time.Time) {
	if h.probing && limit == h.limit {
		h.probe = min(2*h.probe, lastProbe)
	} else {
		h.limit, h.probe = limit, firstProbe
	}
	h.probing = false
	h.probeAt = now.Add(h.probe)
}

// closed says that a session has ended.
func (cs *connections) closed(addr string, now time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	h := cs.host(addr)
	if h.limit > 0 && h.live >= h.limit {
		cs.hold(addr, h, now, noticeTime)
	}
	if h.probing { // then that will not have been one more
		h.probing, h.probeAt = false, now
	}
	h.live--
	h.open--
	h.closedAt = now
	h.grant(now)
}

// hold lets no connection be opened for a while. The caller holds mu.
func (cs *connections) hold(addr string, h *hostConns, now time.Time, d time.Duration) {
	h.holdTo = now.Add(d)
	time.AfterFunc(d, func() {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		cs.host(addr).grant(time.Now())
	})
}

// grant lets the first waiters open connections, as far as the limit allows. The
// caller holds mu.
func (h *hostConns) grant(now time.Time) {
	for len(h.waiters) > 0 && h.live < max(h.limit, 1) && !now.Before(h.holdTo) {
		h.live++
		h.waiters[0].ch <- nil
		h.waiters = h.waiters[1:]
	}
}

// wait enters a Send among those that wait for an address.
func (cs *connections) wait(addr string, k key) *waiter {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	w := &waiter{k, make(chan *Client, 1)}
	h := cs.host(addr)
	h.waiters = append(h.waiters, w)
	h.grant(time.Now())
	return w
}

// leave takes a waiter out. What it was given meanwhile it gets: ok.
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

// pass hands a session on to the first that waits for one like it. Where only
// others wait for the address, it must be closed for them: wanted.
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
