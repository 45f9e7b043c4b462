package smtpclient

import (
	"container/list"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"sync"
	"time"
)

// scopedCache is a cache of TLS sessions with separate keys for each host and
// policy. The keys of crypto/tls are only server names.
type scopedCache struct {
	cache tls.ClientSessionCache
	scope string
}

func (c scopedCache) Get(key string) (*tls.ClientSessionState, bool) {
	return c.cache.Get(c.scope + key)
}

func (c scopedCache) Put(key string, s *tls.ClientSessionState) { c.cache.Put(c.scope+key, s) }

// sessionScope identifies a host, the policy that applies to it, and the client
// certificates: a resumed session keeps the client certificate of the first one.
func (t *Transport) sessionScope(dst *Destination, tg *target, s *security) string {
	scope := fmt.Sprintf("%+v %s %t %q %s ", t.policy(dst), s.policy, s.old, tg.host.Name, tg.addr)
	if t.TLSConfig != nil {
		for _, cert := range t.TLSConfig.Certificates {
			for _, der := range cert.Certificate {
				scope += fmt.Sprintf("%x ", sha256.Sum256(der))
			}
		}
	}
	return scope
}

// tlsSessions returns the default cache.
func (t *Transport) tlsSessions() tls.ClientSessionCache {
	t.tlsOnce.Do(func() { t.tlsCache = &sessionCache{most: maxTLSSessions} })
	return t.tlsCache
}

const (
	// maxTLSSessions is the maximum number of sessions of the default cache. A
	// session needs a few KiB.
	maxTLSSessions = 16384
	// tlsSessionTime is how long the default cache keeps a session that is not
	// used. Most hosts accept a ticket for some hours at most (RFC 8446, 4.6.1
	// allows 7 days).
	tlsSessionTime = time.Hour
)

// sessionCache is a cache of TLS sessions that holds as many as there are hosts
// in use, up to a limit.
type sessionCache struct {
	most int

	mu     sync.Mutex // guards all below
	byKey  map[string]*list.Element
	oldest list.List // of *tlsSession, the one that was used least recently first
}

type tlsSession struct {
	key   string
	state *tls.ClientSessionState
	used  time.Time
}

func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(time.Now())
	e := c.byKey[key]
	if e == nil {
		return nil, false
	}
	c.use(e)
	return e.Value.(*tlsSession).state, true
}

// Put keeps a session. A nil session removes the one that was kept.
func (c *sessionCache) Put(key string, state *tls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	switch {
	case state == nil && e != nil:
		c.remove(e)
	case state == nil:
	case e != nil:
		e.Value.(*tlsSession).state = state
		c.use(e)
	default:
		if c.byKey == nil {
			c.byKey = make(map[string]*list.Element)
		}
		c.byKey[key] = c.oldest.PushBack(&tlsSession{key, state, time.Now()})
	}
	c.forget(time.Now())
}

func (c *sessionCache) use(e *list.Element) {
	e.Value.(*tlsSession).used = time.Now()
	c.oldest.MoveToBack(e)
}

func (c *sessionCache) remove(e *list.Element) {
	delete(c.byKey, c.oldest.Remove(e).(*tlsSession).key)
}

// forget removes the sessions that are too many or were not used for
// tlsSessionTime. The caller holds mu.
func (c *sessionCache) forget(now time.Time) {
	for e := c.oldest.Front(); e != nil; e = c.oldest.Front() {
		if c.oldest.Len() <= c.most && now.Sub(e.Value.(*tlsSession).used) < tlsSessionTime {
			return
		}
		c.remove(e)
	}
}
