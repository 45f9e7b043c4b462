package gateway

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// StartTime returns when the relay began to run: its sockets were open, and the
// Queue delivered. It is zero before that.
func (g *Gateway) StartTime() time.Time {
	n := g.since.Load()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// ServerCounters returns the sums of the statistics of all servers: those of the
// Listeners, also the ones that [Listener.Replace] has replaced, and Servers.
func (g *Gateway) ServerCounters() smtpserver.Counters {
	var sum smtpserver.Counters
	for _, l := range g.Listeners {
		sum = sum.Plus(l.counters())
	}
	for _, srv := range g.Servers {
		if srv != nil {
			sum = sum.Plus(srv.Counters())
		}
	}
	return sum
}

// counters returns the sums of the statistics of all servers that the Listener has
// had.
func (d *Listener) counters() smtpserver.Counters {
	if d == nil {
		return smtpserver.Counters{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	sum, servers := d.past, d.servers
	if len(servers) == 0 && d.Server != nil {
		servers = []*smtpserver.Server{d.Server} // it does not run yet
	}
	for _, srv := range servers {
		sum = sum.Plus(srv.Counters())
	}
	return sum
}

// CurrentServers returns the servers that get new connections: one for each of the
// Listeners, and Servers.
func (g *Gateway) CurrentServers() []*smtpserver.Server {
	var all []*smtpserver.Server
	for _, named := range g.servers() {
		all = append(all, named.Server)
	}
	return all
}
