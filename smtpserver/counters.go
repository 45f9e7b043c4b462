package smtpserver

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
)

// Counters are statistics of a server since it was created.
type Counters struct {
	Sessions      int64            // sessions that have begun
	Current       int64            // sessions that are open now
	Messages      int64            // messages that the Handler has accepted
	Discarded     int64            // messages accepted and discarded
	Bytes         int64            // bytes of content received
	Authenticated int64            // successful logins
	AuthFailed    int64            // failed logins
	TLSFailed     int64            // failed TLS handshakes
	Panics        int64            // panics of agents and the Handler
	Replies       map[int]int64    // replies by code
	Refusals      map[string]int64 // refusals by source: name of the agent, "handler", "limits", "protocol", ...
	TLSVersions   map[string]int64 // TLS sessions by version: "TLS 1.3", ...
}

type counters struct {
	sessions, messages, discarded, bytes atomic.Int64
	authenticated, authFailed, tlsFailed atomic.Int64
	panics                               atomic.Int64
	replies                              [600]atomic.Int64 // by code

	mu       sync.Mutex // guards the following fields
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

// Counters returns the current statistics. It is safe for concurrent use.
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
