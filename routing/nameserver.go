package routing

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// A nameServer is one server, and what was learned about it.
type nameServer struct {
	addr string // "host:port"

	down    atomic.Bool  // it gave no answer the last time
	probing atomic.Bool  // a probe is under way
	probed  atomic.Int64 // when the last one began, in Unix nanoseconds
	plain   atomic.Int64 // until when it is asked without EDNS, in Unix nanoseconds
}

const (
	// probeInterval is the least time between two probes of a server.
	probeInterval = time.Second
	// plainTime is how long a server that gave no answer to EDNS, but one
	// without it, is asked without EDNS.
	plainTime = 5 * time.Minute
)

// withPort adds the port to an address that has none: "host", "v6", "[v6]".
func withPort(addr, port string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), port)
}

// order returns the servers in the order in which one query asks them: as they
// are listed, with those that gave no answer the last time at the end. first
// is the server to begin with (option rotate), otherwise 0.
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

// probe asks the servers that are down the same question, without waiting for
// the answers, so that they are used again as soon as they answer. A server
// has one probe at a time.
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
