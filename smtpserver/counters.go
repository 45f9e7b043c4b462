package smtpserver

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/counters"
)

// Counters are statistics of a server since it was created. The keys of the maps
// come from the settings and from fixed sets: a client cannot add one.
type Counters struct {
	Sessions      int64            // sessions that have begun
	Current       int64            // sessions that are open now
	Messages      int64            // messages that the Handler has accepted
	Discarded     int64            // messages accepted and discarded
	Refused       int64            // messages refused with 5xx after the end of data, by an agent, a limit or the Handler
	Deferred      int64            // messages refused with 4xx after the end of data
	Bytes         int64            // bytes of content received
	Authenticated int64            // successful logins
	AuthFailed    int64            // failed logins
	TLSFailed     int64            // failed TLS handshakes
	Panics        int64            // panics of agents and the Handler
	Replies       map[int]int64    // replies by code
	Refusals      map[string]int64 // refusals by source: name of the agent, "handler", "limits", "protocol", ...
	TLSVersions   map[string]int64 // TLS sessions by version: "TLS 1.3", ...

	// Logins and FailedLogins have the logins by SASL mechanism: "PLAIN", ...
	Logins, FailedLogins map[string]int64

	// Accept is how long clients waited for the reply to a message: from the end
	// of data to the reply, in seconds, whether the message was accepted or not.
	Accept Histogram
}

// A Histogram counts values by size. Durations are in seconds.
//
//	type Histogram struct {
//		Bounds []float64 // upper bounds, inclusive, in ascending order
//		Counts []int64   // the values up to each bound and above the bound before it; the last: above all bounds
//		Sum    float64   // of all values
//		Count  int64     // the number of all values
//	}
//
// Its method Quantile(0.5) estimates the median.
type Histogram = counters.Snapshot

type serverCounters struct {
	sessions, messages, discarded, bytes atomic.Int64
	refused, deferred                    atomic.Int64
	authenticated, authFailed, tlsFailed atomic.Int64
	panics                               atomic.Int64
	replies                              [600]atomic.Int64 // by code
	tls                                  [4]atomic.Int64   // by version: TLS 1.0 to 1.3

	refusals             counters.Set
	logins, failedLogins counters.Set
	accept               counters.Histogram
}

func (c *serverCounters) reply(code int) {
	if code < len(c.replies) {
		c.replies[code].Add(1)
	}
}

func (c *serverCounters) tlsVersion(v uint16) {
	if i := int(v) - tls.VersionTLS10; i >= 0 && i < len(c.tls) {
		c.tls[i].Add(1)
	}
}

// answered counts the reply to a message whose end of data came at the time
// received.
func (c *serverCounters) answered(o *outcome, received, now time.Time) {
	c.accept.Observe(int64(now.Sub(received)))
	switch {
	case o.v == nil || o.v.reply == nil:
	case o.v.reply.Code < 500:
		c.deferred.Add(1)
	default:
		c.refused.Add(1)
	}
}

// Counters returns the current statistics. It is safe for concurrent use.
func (srv *Server) Counters() Counters {
	c := &srv.counters
	r := Counters{
		Sessions: c.sessions.Load(), Current: srv.current.Load(), Messages: c.messages.Load(),
		Discarded: c.discarded.Load(), Refused: c.refused.Load(), Deferred: c.deferred.Load(),
		Bytes: c.bytes.Load(), Authenticated: c.authenticated.Load(),
		AuthFailed: c.authFailed.Load(), TLSFailed: c.tlsFailed.Load(), Panics: c.panics.Load(),
		Replies: make(map[int]int64), Refusals: c.refusals.Snapshot(), TLSVersions: make(map[string]int64),
		Logins: c.logins.Snapshot(), FailedLogins: c.failedLogins.Snapshot(),
		Accept: c.accept.Snapshot(),
	}
	for code := range c.replies {
		if n := c.replies[code].Load(); n > 0 {
			r.Replies[code] = n
		}
	}
	for i := range c.tls {
		if n := c.tls[i].Load(); n > 0 {
			r.TLSVersions[tls.VersionName(uint16(tls.VersionTLS10+i))] = n
		}
	}
	return r
}
