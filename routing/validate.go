package routing

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// ValidateSite checks the connectors against the whole relay, for
// gateway.Gateway.Validate: each accepted domain needs a connector, each
// connector that a setting names must exist, and no smart host may be the relay
// itself.
func (r *Router) ValidateSite(s site.Site) []site.Finding {
	t := r.table()
	var found []site.Finding
	for _, d := range s.Domains {
		found = append(found, t.validateDomain(s, d)...)
	}
	for _, route := range s.Routes {
		if t.byName[route.Connector] == nil {
			found = append(found, site.Finding{Severity: site.Error, Subject: route.Field,
				Text: fmt.Sprintf("the routing table has no connector %q: the mail would wait", route.Connector)})
		}
	}
	for _, c := range t.connectors {
		for i := range c.hosts {
			if !c.Disabled && isOwnHost(s, &c.hosts[i]) {
				found = append(found, site.Finding{Severity: site.Error,
					Subject: fmt.Sprintf("connector %s: SmartHosts[%d]", c.Name, i),
					Text:    fmt.Sprintf("%q is this relay, so mail to it would loop", c.SmartHosts[i].Host)})
			}
		}
	}
	return found
}

// validateDomain checks the route of an accepted domain.
func (t *Table) validateDomain(s site.Site, d site.Domain) (found []site.Finding) {
	add := func(severity site.Severity, format string, args ...any) {
		found = append(found, site.Finding{Severity: severity, Subject: d.Field, Text: fmt.Sprintf(format, args...)})
	}
	name, below, err := parsePattern(d.Name)
	if err != nil {
		return nil // the Gate reports it
	}
	if in, is := t.accepted[strings.TrimSpace(d.Name)]; (len(d.SmartHosts) > 0 || d.Connector != "") &&
		(!is || in.Connector != d.Connector || !slices.Equal(in.SmartHosts, d.SmartHosts)) {
		add(site.Error, "the routing table was made without the destination of %q: use routing.Site.Accepted and policy.Destinations", d.Name)
		return found
	}
	c := t.serves(name, below)
	switch {
	case c == nil:
		add(site.Error, "no connector serves %q: its mail would be accepted but could not be sent", d.Name)
		return found
	case len(s.Names) > 0 && !below && slices.ContainsFunc(s.Names, func(n string) bool { return sameName(n, name) }):
		if c.direct() {
			add(site.Error, "%q is the host name of this relay, and the connector %s delivers its mail by DNS: it would loop (Exchange: 5.4.8)", d.Name, c.Name)
		} else {
			add(site.Warning, "%q is also the host name of this relay: mail that it sends to its own name leaves by the connector %s (Exchange: 5.4.8)", d.Name, c.Name)
		}
	case c.direct() && !c.Hold && !t.backup.has(name):
		add(site.Warning, "the connector %s delivers the mail of %q by DNS: it loops if the MX records name this relay (5.4.6)", c.Name, d.Name)
	}
	return found
}

// serves returns the connector that gets the mail of an accepted domain, or nil.
// A pattern is served if a connector serves a part of it.
func (t *Table) serves(name string, below bool) (found *connector) {
	t.matches(name, func(c candidate) bool {
		if !below || c.space.below || c.space.all {
			found = c.c
		}
		return found == nil
	})
	if found != nil && !slices.ContainsFunc(t.all, func(c candidate) bool { return c.c == found }) {
		return found
	}
	for _, spaces := range []map[string][]candidate{t.exact, t.below} {
		for domain, list := range spaces {
			if below && strings.HasSuffix(domain, "."+name) {
				return list[0].c
			}
		}
	}
	return found
}

// direct reports whether the connector finds the hosts of a domain in the DNS.
func (c *connector) direct() bool { return c.byDNS() && (len(c.hosts) == 0 || c.DirectFirst) }

func sameName(a, b string) bool {
	c, err := addr.Domain(a)
	return err == nil && c == b
}

// isOwnHost reports whether a smart host is the relay itself: one of its
// addresses, or one of its names, with the port of a listener.
func isOwnHost(s site.Site, h *smartHost) bool {
	if h.socket != "" || h.mx {
		return false
	}
	var own self
	own.add(nil, s.Addrs) // an address of this host that cannot be read is not compared
	if h.addr.IsValid() {
		return own.hasAddr(addrPort(h.addr, h.port))
	}
	if h.name == "localhost" {
		return own.hasAddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), h.port)) ||
			own.hasAddr(netip.AddrPortFrom(netip.IPv6Loopback(), h.port))
	}
	return slices.ContainsFunc(s.Names, func(n string) bool { return sameName(n, h.name) }) &&
		slices.ContainsFunc(s.Addrs, func(a netip.AddrPort) bool { return a.Port() == h.port && !a.Addr().IsLoopback() })
}
