package main

import (
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// Build implements program.Gateway.
func (d *dualhomed) Build(k *program.Kit) program.Rules {
	insideAddr, outsideAddr := d.check(k)
	domains := []policy.Domain{{Name: d.domain}}
	k.Domains("domain", domains)

	inside := k.Server("inside")
	k.Install("networks", &policy.Gate{Domains: domains, Networks: d.networks}, inside)
	// A client outside cannot use a sender in the organization's domain.
	outside := k.Server("outside")
	k.Install("domain", &policy.Gate{Domains: domains, Spoofing: &policy.Spoofing{}}, outside)

	fromOutside := k.Transport("internet")
	fromOutside.LocalAddrs = []netip.Addr{outsideAddr.Addr()}
	table := k.Table(domains, []netip.AddrPort{insideAddr, outsideAddr},
		routing.Connector{
			Name: "organization", Spaces: []string{d.domain}, SmartHosts: routing.SmartHosts(d.organization),
			Resolver:  resolver(d.insideDNS),
			Exclusive: true, // while its server is down, the mail waits
		},
		routing.Connector{
			Name: "internet", Spaces: []string{"*"},
			Resolver: resolver(d.outsideDNS),
			// Only mail from the inside and the queue's own reports may take this
			// connector. This holds even if the policy of "outside" is weakened by
			// mistake.
			Scope:     routing.Scope{ReceiveConnectors: []string{"inside", "dsn"}},
			Transport: routing.SMTP(fromOutside),
		},
	)
	return program.Rules{
		Receive: []program.Receive{
			{Server: inside, Address: d.inside, Setting: "inside"},
			{Server: outside, Address: d.outside, Setting: "outside"},
		},
		Table: table, Domains: domains,
	}
}
