package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// nodesView has the nodes that share the store of the relay.
type nodesView struct {
	Shared bool       `json:"shared" doc:"Whether several nodes can share the store. If it is false, there are no nodes."`
	Nodes  []nodeView `json:"nodes" doc:"By name, at most 1000."`
	Total  int        `json:"total"`
}

// nodeView is one node.
type nodeView struct {
	Name     string    `json:"name"`
	State    string    `json:"state" doc:"alive, silent (it has not reported for longer than expected), dead (the other nodes have taken over its messages) or stopped."`
	This     bool      `json:"this" doc:"Whether it is the node that answers."`
	Started  time.Time `json:"started,omitzero" doc:"By the clock of the store."`
	LastBeat time.Time `json:"lastBeat,omitzero" doc:"When the node reported last that it is alive, by the clock of the store."`
	Silent   float64   `json:"silentSeconds" doc:"How long ago lastBeat was."`
	Leased   int       `json:"leased" doc:"How many messages the node has leased."`
	// Processes is not set if the store does not count them.
	Processes int               `json:"processes,omitempty" doc:"How many living processes have this name. There should be one."`
	Draining  *drainingView     `json:"draining,omitempty" doc:"Set if the node drains: it delivers no mail."`
	Info      map[string]string `json:"info,omitempty" doc:"What the node says about itself."`
}

// drainingView says who drains a node, and why.
type drainingView struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since,omitzero"`
}

func viewOfNode(n *queue.Node) nodeView {
	v := nodeView{
		Name: n.Name, State: n.State.String(), This: n.This, Started: n.Started, LastBeat: n.LastBeat,
		Silent: n.Silent.Seconds(), Leased: n.Leased, Processes: n.Processes, Info: n.Info,
	}
	if isDraining(n) {
		v.Draining = &drainingView{n.Draining.By, n.Draining.Reason, n.Draining.Since}
	}
	return v
}

func isDraining(n *queue.Node) bool { return n.Draining != queue.Draining{} }

// cluster returns the store if several nodes can share it, or nil.
func (x *call) cluster() queue.Cluster {
	c, _ := x.console.Gateway.Queue.Store.(queue.Cluster)
	return c
}

func showNodes(x *call, _ struct{}) (*nodesView, error) {
	v := &nodesView{Nodes: []nodeView{}}
	c := x.cluster()
	if c == nil {
		return v, nil
	}
	all, err := c.Nodes(x.ctx())
	if err != nil {
		return nil, err
	}
	v.Shared, v.Total = true, len(all)
	for i := range all[:min(len(all), maxPageRows)] {
		v.Nodes = append(v.Nodes, viewOfNode(&all[i]))
	}
	return v, nil
}

// holder returns the node that has leased a message, or "".
func (x *call) holder(id string) (string, error) {
	c := x.cluster()
	if c == nil {
		return "", nil
	}
	names, err := c.Holders(x.ctx(), id)
	if err != nil || len(names) != 1 {
		return "", err
	}
	return names[0], nil
}

// countNodes returns nil if the store is not a Cluster.
func (x *call) countNodes() (*nodeCounts, error) {
	c := x.cluster()
	if c == nil {
		return nil, nil
	}
	all, err := c.Nodes(x.ctx())
	n := &nodeCounts{}
	for i := range all {
		switch all[i].State {
		case queue.NodeAlive:
			n.Alive++
		case queue.NodeSilent:
			n.Silent++
		case queue.NodeDead:
			n.Dead++
		}
		if isDraining(&all[i]) {
			n.Draining++
		}
	}
	return n, err
}

// Notable returns the counts that an operator should know in words, for example
// "1 is dead, 2 drain", or "".
func (n *nodeCounts) Notable() string {
	var parts []string
	for _, one := range []struct {
		count            int
		singular, plural string
	}{{n.Silent, "is silent", "are silent"}, {n.Dead, "is dead", "are dead"}, {n.Draining, "drains", "drain"}} {
		if one.count == 1 {
			parts = append(parts, "1 "+one.singular)
		} else if one.count > 1 {
			parts = append(parts, strconv.Itoa(one.count)+" "+one.plural)
		}
	}
	return strings.Join(parts, ", ")
}

// nodeParams select one node.
type nodeParams struct {
	Node string `param:"node" doc:"The name of the node."`
}

// errOneNode is the answer to an action with a node if there are none.
const errOneNode = "The store of this relay is used by one node only."

// node returns the node that the parameters select, and all nodes.
func (x *call) node(p nodeParams) (*queue.Node, []queue.Node, error) {
	if p.Node == "" {
		return nil, nil, wrongParameter("node", "it is missing")
	}
	c := x.cluster()
	if c == nil {
		return nil, nil, refuse(http.StatusConflict, errOneNode)
	}
	all, err := c.Nodes(x.ctx())
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(all, func(n queue.Node) bool { return n.Name == p.Node })
	if i < 0 {
		return nil, nil, queue.ErrNoNode
	}
	return &all[i], all, nil
}

func planDrain(x *call, p nodeParams) (*plan, error) {
	n, all, err := x.node(p)
	if err != nil {
		return nil, err
	}
	if isDraining(n) {
		return nil, refuse(http.StatusConflict, "The node "+inert(strconv.Quote(n.Name))+" is draining already.")
	}
	text := "The node delivers no mail and gives its messages to the other nodes. They also deliver the mail that it still accepts. "
	if !slices.ContainsFunc(all, func(o queue.Node) bool { return o.Name != n.Name && o.State == queue.NodeAlive && !isDraining(&o) }) {
		text = "No other node delivers mail now: all mail waits until one does. "
	}
	text += "The setting survives a restart of the node. /readyz of the node fails while it drains."
	return &plan{
		Title: "Drain the node " + n.Name, Text: text, Count: n.Leased, Back: "/nodes",
		do: func(ctx context.Context) (int, error) {
			return n.Leased, x.cluster().Drain(ctx, queue.Draining{Node: n.Name, By: x.operator(), Reason: x.reason()})
		},
	}, nil
}

func planUndrain(x *call, p nodeParams) (*plan, error) {
	n, _, err := x.node(p)
	if err != nil {
		return nil, err
	}
	if !isDraining(n) {
		return nil, refuse(http.StatusConflict, "The node "+inert(strconv.Quote(n.Name))+" is not draining.")
	}
	return &plan{
		Title: "End the draining of the node " + n.Name, Text: "The node delivers mail again.", Count: 1, Things: "node", Back: "/nodes",
		do: func(ctx context.Context) (int, error) {
			return 1, x.cluster().Drain(ctx, queue.Draining{Node: n.Name, Off: true, By: x.operator(), Reason: x.reason()})
		},
	}, nil
}
