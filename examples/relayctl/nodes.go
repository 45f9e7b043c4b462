package main

import (
	"context"
	"flag"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

var nodesCommand = command{
	name: "nodes", args: "",
	summary: "list the nodes that share the store of the relay",
	details: `
A node is alive, silent (it has not reported for longer than expected), dead (the
other nodes have taken over its messages) or stopped. The node that answers has a "*".
BEAT is how long ago the node last reported that it is alive.`,
	define: func(*flag.FlagSet) action {
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) > 0 {
				return wrongUsage("nodes takes no arguments")
			}
			return listNodes(ctx, s)
		}
	},
}

var drainCommand = nodeChange("drain", "make a node deliver no mail and give its messages to the other nodes", `
The node still accepts mail, which the other nodes deliver. The setting survives a
restart of the node; "relayctl undrain" ends it.`, "message")

var undrainCommand = nodeChange("undrain", "end the draining of a node", "", "node")

// nodeChange is a command that changes one node.
func nodeChange(name, summary, details, counts string) command {
	return command{
		name: name, args: "NODE", summary: summary, details: details,
		define: func(fs *flag.FlagSet) action {
			by := confirms(fs)
			return func(ctx context.Context, s *session, args []string) error {
				if len(args) != 1 || args[0] == "" {
					return wrongUsage("%s needs the name of one node; \"relayctl nodes\" lists them", name)
				}
				return s.change(ctx, change{path: "/nodes/" + name, form: url.Values{"node": {args[0]}}, counts: counts, counted: counts}, by)
			}
		},
	}
}

// A nodePage is the document of /nodes.
type nodePage struct {
	Shared bool
	Nodes  []struct {
		Name, State   string
		This          bool
		Started       time.Time
		SilentSeconds float64
		Leased        int
		Draining      *struct {
			By, Reason string
			Since      time.Time
		}
		Info map[string]string
	}
	Total int
}

func listNodes(ctx context.Context, s *session) error {
	doc, err := s.get(ctx, "/nodes", nil)
	if err != nil {
		return err
	}
	var p nodePage
	if err := doc.decode(&p); err != nil {
		return err
	}
	if s.json {
		if err := s.printJSON(doc); err != nil {
			return err
		}
	}
	if !p.Shared {
		return &nothingError{"the store of the relay is used by one node only"}
	}
	if s.json {
		return nil
	}
	t := newTable("NODE", "STATE", ">LEASED", ">BEAT", "STARTED", "DRAINING SINCE", "BY", "REASON", "INFO")
	for _, n := range p.Nodes {
		name, since, by, reason := n.Name, "", "", ""
		if n.This {
			name += " *"
		}
		if d := n.Draining; d != nil {
			since, by, reason = stamp(d.Since), d.By, d.Reason
		}
		var info []string
		for _, key := range slices.Sorted(maps.Keys(n.Info)) {
			info = append(info, key+"="+n.Info[key])
		}
		t.add(name, n.State, strconv.Itoa(n.Leased), duration(time.Duration(n.SilentSeconds*float64(time.Second))), stamp(n.Started),
			since, by, reason, strings.Join(info, " "))
	}
	if err := t.write(s.out); err != nil {
		return err
	}
	if p.Total > len(p.Nodes) {
		s.note("the first %d of %d nodes", len(p.Nodes), p.Total)
	}
	return nil
}
