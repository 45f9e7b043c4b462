package policy

import (
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// An AcceptedDomain is the name of an accepted domain and the destination of
// its mail. It is the same type as routing.AcceptedDomain, which describes its
// fields: Name, SmartHosts, Connector and Field.
type AcceptedDomain = site.Domain

// Destinations returns the names of accepted domains and the destinations of
// their mail, for routing.Site.Accepted. In this way an accepted domain is set
// once: for the Gate, which accepts its mail, and for the routing table.
//
//	domains := []policy.Domain{{Name: "example.com", Directory: users, SmartHosts: []string{"10.0.0.5"}}}
//	table, err := routing.Site{Accepted: policy.Destinations(domains...)}.NewTable(
//		routing.Connector{Name: "internet", Spaces: []string{"*"}})
//	gate := &policy.Gate{Domains: domains, Queue: q}
func Destinations(domains ...Domain) []AcceptedDomain {
	all := make([]AcceptedDomain, len(domains))
	for i, d := range domains {
		all[i] = AcceptedDomain{Name: strings.TrimSpace(d.Name), SmartHosts: d.SmartHosts, Connector: d.Connector}
	}
	return all
}
