package gateway

import (
	"fmt"
	"slices"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy"
)

// site describes the whole relay to its parts.
func (g *Gateway) site() site.Site {
	s := site.Site{Names: []string{g.Hostname}}
	seen := make(map[string]bool) // domains
	for _, named := range g.servers() {
		if name := named.Server.Hostname; !slices.Contains(s.Names, name) {
			s.Names = append(s.Names, name)
		}
		gate := policy.GateOf(named.Server)
		if gate == nil {
			continue
		}
		for i, d := range gate.Domains {
			s.Routes = append(s.Routes, routes(fmt.Sprintf("%s: Gate.Domains[%d]", named.Path, i), d)...)
		}
		for i, d := range policy.Destinations(gate.Domains...) {
			if !seen[d.Name] {
				seen[d.Name] = true
				d.Field = fmt.Sprintf("%s: Gate.Domains[%d]", named.Path, i)
				s.Domains = append(s.Domains, d)
			}
		}
	}
	for _, l := range g.Listeners {
		if l == nil {
			continue
		}
		if at, err := l.place(); err == nil && at.Addr().IsValid() && at.Port() != 0 {
			s.Addrs = append(s.Addrs, at)
		}
	}
	return s
}

// routes returns the connectors that the settings of an accepted domain name.
func routes(field string, d policy.Domain) []site.Route {
	all := []site.Route{{Field: field + ".Unresolved", Connector: d.Unresolved.Connector}}
	for i, other := range d.SharedWith {
		all = append(all, site.Route{Field: fmt.Sprintf("%s.SharedWith[%d].Route", field, i), Connector: other.Route.Connector})
	}
	return slices.DeleteFunc(all, func(r site.Route) bool { return r.Connector == "" })
}
