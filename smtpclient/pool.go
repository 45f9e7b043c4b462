package smtpclient

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// idle is a session that waits for its next message.
type idle struct {
	c     *Client
	key   key // the destination that used it last
	since time.Time
}

// pool keeps idle sessions. A session in use is not in the pool; it belongs to
// the Send that took it.
//
// The destination that used a session last finds it without a lookup of its
// hosts. The others find it by its address.
type pool struct {
	mu     sync.Mutex // guards all below
	byKey  map[key][]*list.Element
	byAddr map[string][]*list.Element
	oldest list.List // of *idle, the oldest first
	timer  *time.Timer
	armed  bool // the timer runs
	closed bool
}

// take removes and returns the session that the destination used last, or nil.
func (p *pool) take(k key) *idle {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.byKey[k]
	if len(s) == 0 {
		return nil
	}
	return p.remove(s[len(s)-1])
}

// takeFrom removes and returns the session with an address that was used last
// and that may carry the mail, or nil.
func (p *pool) takeFrom(k *sessionKey) *idle {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range slices.Backward(p.byAddr[k.addr]) {
		if e.Value.(*idle).c.key == *k {
			return p.remove(e)
		}
	}
	return nil
}

// remove removes a session. The caller holds mu.
func (p *pool) remove(e *list.Element) *idle {
	i := p.oldest.Remove(e).(*idle)
	drop(p.byKey, i.key, e)
	drop(p.byAddr, i.c.key.addr, e)
	return i
}

// drop removes an element from an index.
func drop[K comparable](index map[K][]*list.Element, k K, e *list.Element) {
	s := index[k]
	if len(s) == 1 {
		delete(index, k)
		return
	}
	for n := len(s) - 1; n >= 0; n-- { // it is usually the last or the first
		if s[n] == e {
			index[k] = slices.Delete(s, n, n+1)
			return
		}
	}
}

// put keeps a session for at most timeout. It returns the session that the
// caller must end because of the limits: this one, the oldest, or nil.
func (p *pool) put(i *idle, perAddr, total int, timeout time.Duration) (out *Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	addr := i.c.key.addr
	if p.closed || len(p.byAddr[addr]) >= perAddr {
		return i.c
	}
	if p.oldest.Len() >= total {
		out = p.remove(p.oldest.Front()).c
	}
	if p.byKey == nil {
		p.byKey = make(map[key][]*list.Element)
		p.byAddr = make(map[string][]*list.Element)
	}
	e := p.oldest.PushBack(i)
	p.byKey[i.key] = append(p.byKey[i.key], e)
	p.byAddr[addr] = append(p.byAddr[addr], e)
	if !p.armed {
		p.armed = true
		if p.timer == nil {
			p.timer = time.AfterFunc(timeout, func() { p.expire(timeout) })
		} else {
			p.timer.Reset(timeout)
		}
	}
	return out
}

// claim removes a session from the pool. It returns false if the session is not
// there: then it belongs to a Send, or has ended.
func (p *pool) claim(c *Client) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.oldest.Front(); e != nil; e = e.Next() {
		if e.Value.(*idle).c == c {
			p.remove(e)
			return true
		}
	}
	return false
}

// evict removes and returns the oldest session with an address, or nil.
func (p *pool) evict(addr string) *Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.byAddr[addr]
	if len(s) == 0 {
		return nil
	}
	return p.remove(s[0]).c
}

// expire ends the sessions that have been idle for timeout, and sets the timer
// for the next one.
func (p *pool) expire(timeout time.Duration) {
	var over []*Client
	p.mu.Lock()
	now := time.Now()
	for {
		e := p.oldest.Front()
		if e == nil {
			p.armed = false
			break
		}
		if left := timeout - now.Sub(e.Value.(*idle).since); left > 0 {
			p.timer.Reset(left)
			break
		}
		over = append(over, p.remove(e).c)
	}
	p.mu.Unlock()
	for _, c := range over {
		c.leave()
	}
}

// drain ends all idle sessions. If closed is true, the pool keeps no sessions
// from now on.
func (p *pool) drain(closed bool) {
	var over []*Client
	p.mu.Lock()
	p.closed = p.closed || closed
	for e := p.oldest.Front(); e != nil; e = p.oldest.Front() {
		over = append(over, p.remove(e).c)
	}
	if p.timer != nil && p.timer.Stop() {
		p.armed = false
	}
	p.mu.Unlock()
	for _, c := range over {
		c.leave()
	}
}

const (
	// maxIdleTotal bounds the default of Transport.MaxIdleTotal, because each
	// session also needs some KiB of memory. minIdleTotal is the least.
	maxIdleTotal = 16384
	minIdleTotal = 10
)

// defaultIdleTotal is the default of Transport.MaxIdleTotal: half of the files
// that the process may have open. The rest is for the sessions in use, the
// clients, the queue and the other Transports.
func defaultIdleTotal() int {
	n, ok := openFiles()
	if !ok {
		return 500
	}
	return int(min(max(n/2, minIdleTotal), maxIdleTotal))
}
