package routing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// An AcceptedDomain is an accepted domain and the destination of its mail.
// policy.Destinations makes it from a policy.Domain.
//
//	type AcceptedDomain struct {
//		Name       string   // "example.com", "*.example.com" or "[192.0.2.1]"
//		SmartHosts []string // the hosts that get the mail, as in SmartHost.Host
//		Connector  string   // or the name of the connector that delivers it
//		Field      string   // for error texts: where the domain is set; may be empty
//	}
//
// If neither SmartHosts nor Connector is set, the address spaces of the
// connectors decide.
type AcceptedDomain = site.Domain

// destinations adds what follows from Site.Accepted: the domains to the Site, an
// address space to each connector that a domain names, and connectors for the
// SmartHosts of domains.
func (b *builder) destinations(s Site, given []Connector) (Site, []Connector) {
	b.at = "(site)"
	b.t.accepted = make(map[string]AcceptedDomain, len(s.Accepted))
	s.Domains, given = slices.Clone(s.Domains), slices.Clone(given)
	added := make(map[string]int) // indexes of new connectors, by their hosts
	for i, d := range s.Accepted {
		field := fmt.Sprintf("Accepted[%d]", i)
		d.Name = strings.TrimSpace(d.Name)
		if _, twice := b.t.accepted[d.Name]; twice {
			b.fault(field, "%q is listed twice", d.Name)
			continue
		}
		b.t.accepted[d.Name] = d
		s.Domains = append(s.Domains, d.Name)
		switch hosts := strings.Join(d.SmartHosts, "\n"); {
		case d.Connector != "" && hosts != "":
			b.fault(field, "%q has SmartHosts and a Connector: set one of them", d.Name)
		case d.Connector != "":
			at := slices.IndexFunc(given, func(c Connector) bool { return c.Name == d.Connector })
			if at < 0 {
				b.fault(field+".Connector", "there is no connector %q for %q", d.Connector, d.Name)
				continue
			}
			given[at].Spaces = append(slices.Clip(given[at].Spaces), d.Name)
		case len(d.SmartHosts) > 0:
			at, known := added[hosts]
			if !known {
				at, added[hosts] = len(given), len(given)
				name := d.Name[:min(len(d.Name), 64)]
				given = append(given, Connector{Name: name, SmartHosts: SmartHosts(d.SmartHosts...), Exclusive: true})
			}
			given[at].Spaces = append(given[at].Spaces, d.Name)
		}
	}
	return s, given
}
