package smtpclient

import (
	"container/list"
	"sync"
	"time"
)

// key identifies the sessions that may carry the same mail.
type key struct {
	name, hosts, domain string // see Destination
	tls                 TLSPolicy
	identity            string
	hostname, connector string // the name in EHLO, and the name in the protocol log
}

// idle is a session that waits for its next message.
type idle struct {
	c     *Client
	key   key
	since time.Time
}

// pool keeps idle sessions. A session in use is not in the pool; it belongs to
// the Send that took it.
type pool struct {
	mu     sync.Mutex // guards all below
	byKey  map[key][]*list.Element
	oldest list.List // of *idle, the oldest first
	timer  *time.Timer
	armed  bool // the timer runs
	closed bool
}

// take removes and returns the session that was used last, or nil.
func (p *pool) take(k key) *idle {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.byKey[k]
	if len(s) == 0 {
		return nil
	}
	return p.remove(s[len(s)-1])
}

// remove removes a session. The caller holds mu.
func (p *pool) remove(e *list.Element) *idle {
	i := p.oldest.Remove(e).(*idle)
	s := p.byKey[i.key]
	for n := len(s) - 1; n >= 0; n-- { // it is usually the last or the first
		if s[n] == e {
			copy(s[n:], s[n+1:])
			s[len(s)-1] = nil
			s = s[:len(s)-1]
			break
		}
	}
	if len(s) == 0 {
		delete(p.byKey, i.key)
	} else {
		p.byKey[i.key] = s
	}
	return i
}

// put keeps a session for at most timeout. It returns the session that the
// caller must end because of the limits: this one, the oldest, or nil.
func (p *pool) put(i *idle, perKey, total int, timeout time.Duration) (out *Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.byKey[i.key]) >= perKey {
		return i.c
	}
	if p.oldest.Len() >= total {
		out = p.remove(p.oldest.Front()).c
	}
	if p.byKey == nil {
		p.byKey = make(map[key][]*list.Element)
	}
	p.byKey[i.key] = append(p.byKey[i.key], p.oldest.PushBack(i))
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

// evict removes and returns the oldest session with an address, or nil.
func (p *pool) evict(addr string) *Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.oldest.Front(); e != nil; e = e.Next() {
		if e.Value.(*idle).c.addr == addr {
			return p.remove(e).c
		}
	}
	return nil
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
