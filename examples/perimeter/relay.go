package main

import (
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// Build implements program.Gateway.
func (p *perimeter) Build(k *program.Kit) program.Rules {
	k.Require("domains", len(p.domains) > 0)
	k.Require("bridgehead", p.bridgehead.Host != "")
	srv := k.Server("internet")
	client, _ := p.bridgehead.Addr()
	gate := &policy.Gate{
		Networks: []netip.Prefix{netip.PrefixFrom(client, client.BitLen())}, // the only client that may relay
		Spoofing: &policy.Spoofing{},                                        // mail of our own users comes only from the bridgehead
		// When disk space runs short or the queue is long, mail from outside is
		// deferred first. The organization's own mail is still accepted.
		Pressure: k.Pressure(),
	}
	directory := k.Recipients("recipients", p.recipients) // nil: the bridgehead checks them
	for _, name := range p.domains {
		gate.Domains = append(gate.Domains, policy.Domain{Name: name, Directory: directory})
	}
	k.Install("domains", gate, srv)
	table := k.Table(gate.Domains, k.Listen("listen", p.listen),
		// Exclusive: while the bridgehead is down, its mail waits here. By MX it
		// would come back to us, or go to a backup host outside.
		routing.Connector{Name: "organization", Spaces: p.domains, Exclusive: true, SmartHosts: []routing.SmartHost{p.bridgehead}},
		routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: p.port},
	)
	return program.Rules{Receive: []program.Receive{{Server: srv, Address: p.listen}}, Table: table, Domains: gate.Domains}
}
