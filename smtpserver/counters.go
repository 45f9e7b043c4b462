package smtpserver

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
)

// Counters are what a server has done since it was made.
type Counters struct {
	Sessions      int64 // begun
	Current       int64 // connected now
	Messages      int64 // that the Handler has taken over
	Discarded     int64 // accepted and dropped
	Bytes         int64 // of content received
	Authenticated int64
	AuthFailed    int64
	TLSFailed     int64            // handshakes
	Panics        int64            // of agents and the Handler
	Replies       map[int]int64    // by code
	Refusals      map[string]int64 // by agent, "handler", "limits", "protocol", ...
	TLSVersions   map[string]int64 // "TLS 1.3", ...
}

type counters struct {
	sessions, messages, discarded, bytes atomic.Int64
	authenticated, authFailed, tlsFailed atomic.Int64
	panics                               atomic.Int64
	replies                              [600]atomic.Int64 // by code

	mu       sync.Mutex // guards what follows
	refusals map[string]int64
	tls      map[uint16]int64
}

func (c *counters) reply(code int) {
	if code < len(c.replies) {
		c.replies[code].Add(1)
	}
}

func (c *counters) refused(by string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusals == nil {
		c.refusals = make(map[string]int64)
	}
	c.refusals[by]++
}

func (c *counters) tlsVersion(v uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tls == nil {
		c.tls = make(map[uint16]int64)
	}
	c.tls[v]++
}

// Counters are the server's counters as they now are. It is safe to call at
// any time.
func (srv *Server) Counters() Counters {
	c := &srv.counters
	r := Counters{
		Sessions: c.sessions.Load(), Current: srv.current.Load(), Messages: c.messages.Load(),
		Discarded: c.discarded.Load(), Bytes: c.bytes.Load(), Authenticated: c.authenticated.Load(),
		AuthFailed: c.authFailed.Load(), TLSFailed: c.tlsFailed.Load(), Panics: c.panics.Load(),
		Replies: make(map[int]int64), Refusals: make(map[string]int64), TLSVersions: make(map[string]int64),
	}
	for code := range c.replies {
		if n := c.replies[code].Load(); n > 0 {
			r.Replies[code] = n
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for by, n := range c.refusals {
		r.Refusals[by] = n
	}
	for v, n := range c.tls {
		r.TLSVersions[tls.VersionName(v)] = n
	}
	return r
}
