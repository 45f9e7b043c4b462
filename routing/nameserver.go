package routing

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// A nameServer is one server and its state.
type nameServer struct {
	addr string // "host:port"

	down    atomic.Bool  // it did not answer the last query
	probing atomic.Bool  // a probe is in progress
	probed  atomic.Int64 // start of the last probe, in Unix nanoseconds
	plain   atomic.Int64 // until when queries have no EDNS, in Unix nanoseconds
}

const (
	// probeInterval is the minimum time between two probes of a server.
	probeInterval = time.Second
	// plainTime is how long a server is queried without EDNS after it answered
	// only a query without EDNS.
	plainTime = 5 * time.Minute
)

// withPort adds a port to an address that has none: "host", "v6" or "[v6]".
func withPort(addr, port string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), port)
}

// order returns the servers in the order of one query: as listed, with those
// that did not answer the last time at the end. first is the server to begin
// with (option rotate), otherwise 0.
func (c *dnsConfig) order(first int) []*nameServer {
	up := make([]*nameServer, 0, len(c.servers))
	var down []*nameServer
	for i := range c.servers {
		s := c.servers[(first+i)%len(c.servers)]
		if s.down.Load() {
			down = append(down, s)
		} else {
			up = append(up, s)
		}
	}
	return append(up, down...)
}

// probe sends the same query to the servers that are down and does not wait
// for the answers. A server that answers is used again. There is one probe of
// a server at a time.
func (r *DNSResolver) probe(ctx context.Context, c *dnsConfig, key dnsKey) {
	now := time.Now()
	for _, s := range c.servers {
		if !s.down.Load() || now.UnixNano()-s.probed.Load() < int64(probeInterval) || !s.probing.CompareAndSwap(false, true) {
			continue
		}
		s.probed.Store(now.UnixNano())
		go func() {
			defer s.probing.Store(false)
			_, err := r.ask(context.WithoutCancel(ctx), c, s, key, true)
			s.down.Store(err != nil)
		}()
	}
}
