package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// Build implements program.Gateway.
func (m *merger) Build(k *program.Kit) program.Rules {
	m.check(k)
	var r program.Rules
	d := m.directory(k, &r)
	aliases := m.aliasesOf(k, d)
	domains := m.domains(k, d, aliases)
	accepted := k.Domains("ours", domains)
	aliases.Domains = accepted
	srv := k.Server("merger")
	srv.Agents = m.limits(k, d)
	k.Install("allow", &policy.Gate{Domains: domains, Networks: m.allow, Outbound: m.outbound(k, d)}, srv)
	r.Receive, r.Domains = []program.Receive{{Server: srv, Address: m.listen}}, domains
	r.Table = k.Table(domains, k.Listen("listen", m.listen),
		// Exclusive: mail for the two systems never takes another connector,
		// also while they are down.
		routing.Connector{Name: "ours", Spaces: []string{m.ours}, Exclusive: true, SmartHosts: routing.SmartHosts(m.ourServer)},
		routing.Connector{Name: "theirs", Spaces: []string{m.theirs}, Exclusive: true, SmartHosts: routing.SmartHosts(m.theirServer)},
		routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: m.port},
		listConnector(aliases),
	)
	// The queue's own reports need the routes of the shared domain too: our system does
	// not have their users.
	r.Hooks = []queue.Hook{aliases.Hook(), accepted.Hook()}
	return r
}
