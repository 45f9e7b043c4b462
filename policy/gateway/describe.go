package gateway

import (
	"cmp"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Routing is the send side of a relay: it lists the send connectors, explains
// routes, and plans the routes of a table that is not in use. A routing.Router
// implements it:
//
//	SendConnectors() []routing.ConnectorInfo
//	ExplainRoute(ctx context.Context, q routing.RouteQuestion) *routing.RouteExplanation
//	PlanRoutes(t RoutingTable) (RoutePlan, error)
type Routing = site.Routing

// A RoutingTable is a set of send connectors, which need not be in use. A
// *routing.Table is one.
type RoutingTable = site.RoutingTable

// Routing returns the send side of the relay, or nil if the Deliverer of the queue
// is not a Routing.
func (g *Gateway) Routing() Routing {
	if g.Queue == nil || isNil(g.Queue.Deliverer) {
		return nil
	}
	r, _ := g.Queue.Deliverer.(Routing)
	return r
}

// A ReceiveConnector is a server of a relay, with the policy that is installed in
// it.
type ReceiveConnector struct {
	// Name is Server.Name or its default, as in queue.Origin.Connector.
	Name string
	// Address is where it listens. It is empty for one of Gateway.Servers.
	Address string
	Server  *smtpserver.Server // in use: do not change it
	Gate    *policy.Gate       // in use; nil if no Gate is installed
}

// ReceiveConnectors returns the servers of Listeners and then those of Servers. The
// server of a Listener is the one that serves new connections.
func (g *Gateway) ReceiveConnectors() []ReceiveConnector {
	var all []ReceiveConnector
	add := func(address string, srv *smtpserver.Server) {
		if srv != nil {
			all = append(all, ReceiveConnector{cmp.Or(srv.Name, "smtp"), address, srv, policy.GateOf(srv)})
		}
	}
	for _, l := range g.Listeners {
		if l == nil {
			continue
		}
		address := l.address()
		if a := l.Addr(); a != nil {
			address = a.String()
		}
		add(address, l.server())
	}
	for _, srv := range g.Servers {
		add("", srv)
	}
	return all
}

// MemoryInForce returns the memory limit that the default limits were calculated
// from: MemoryLimit, or that of the container or of GOMEMLIMIT. It is 0 if there is
// none, or if Run was not called yet.
func (g *Gateway) MemoryInForce() int64 { return g.memory.Load() }
