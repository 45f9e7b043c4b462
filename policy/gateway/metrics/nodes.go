package metrics

import (
	"cmp"
	"context"
	"slices"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// maxNodes is the maximum number of nodes that are exported with their names.
const maxNodes = 100

// nodes adds the nodes that share the store, if several nodes can share it.
func (e *Exporter) nodes(ctx context.Context, b *builder) error {
	c, ok := e.Gateway.Queue.Store.(queue.Cluster)
	if !ok {
		return nil
	}
	all, err := c.Nodes(ctx)
	if err == nil {
		nodeStats(b, all)
	}
	return err
}

func nodeStats(b *builder, all []queue.Node) {
	counts := map[queue.NodeState]int{queue.NodeAlive: 0, queue.NodeSilent: 0, queue.NodeDead: 0, queue.NodeStopped: 0}
	for i := range all {
		counts[all[i].State]++
	}
	var states, silent, leased, draining []Sample
	for _, n := range namedNodes(all) {
		states = append(states, value(1, "node", n.Name, "state", n.State.String()))
		silent = append(silent, value(n.Silent.Seconds(), "node", n.Name))
		leased = append(leased, value(n.Leased, "node", n.Name))
		draining = append(draining, value(flag(n.Draining != queue.Draining{}), "node", n.Name))
	}
	b.add("nodes", Gauge, "Nodes that share the store, by state.", byStatus("state", counts)...)
	b.add("node_state", Gauge, "State of a node that shares the store. The value is always 1.", states...)
	b.add("node_silent_seconds", Gauge, "Time since a node that shares the store has reported that it is alive.", silent...)
	b.add("node_leased_messages", Gauge, "Messages that a node has leased.", leased...)
	b.add("node_draining", Gauge, "Whether a node drains: 1, or 0 if it delivers mail.", draining...)
}

// namedNodes returns the nodes that are exported with their names: not those that were
// stopped, because their number grows if each process has a new name, and only those
// that have reported last.
func namedNodes(all []queue.Node) []queue.Node {
	named := slices.DeleteFunc(slices.Clone(all), func(n queue.Node) bool { return n.State == queue.NodeStopped })
	slices.SortStableFunc(named, func(a, b queue.Node) int { return cmp.Compare(a.Silent, b.Silent) })
	named = named[:min(len(named), maxNodes)]
	slices.SortFunc(named, func(a, b queue.Node) int { return cmp.Compare(a.Name, b.Name) })
	return named
}
