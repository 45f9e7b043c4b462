package main

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Build implements program.Gateway.
func (p *provider) Build(k *program.Kit) program.Rules {
	p.check(k)
	customers := p.readCustomers(k)
	connectors := []routing.Connector{{Name: "internet", Spaces: []string{"*"}, Port: p.port}}
	gate := &policy.Gate{
		// Only customers have accounts. They may send to any domain, from
		// addresses in their own domains.
		Authenticated: true,
		SendAs:        &policy.SendAs{Owns: policy.SendersOf(senders(customers))},
	}
	for _, c := range customers {
		connector := routing.Connector{
			Name: c.account, Spaces: c.domains, SmartHosts: c.hosts,
			Hold: true, HoldAccounts: []string{c.account}, // no other account may request it
			Exclusive: true, // no other connector, also while the host is down
			Expire:    p.keep,
		}
		if len(c.hosts) == 0 {
			connector.Port = p.port
		}
		connectors = append(connectors, connector)
		for _, d := range c.domains {
			gate.Domains = append(gate.Domains, policy.Domain{Name: d, Kind: policy.ExternalRelay})
		}
	}
	k.Router.Wake = routing.WakeQueue(k.Queue) // ETRN and ATRN start delivery at once
	srv := k.Server("provider")
	srv.Auth = smtpserver.PasswordAuth(passwords(customers))
	srv.Agents = []smtpserver.Agent{policy.HeldMail(k.Router)}
	// The MX records of a domain without a host may name the customer.
	table := k.Table(nil, k.Listen("listen", p.listen), connectors...)
	k.Install("customers", gate, srv)
	return program.Rules{Receive: []program.Receive{{Server: srv, Address: p.listen}}, Table: table, Domains: gate.Domains}
}

// readCustomers reads the file of -customers.
func (p *provider) readCustomers(k *program.Kit) []customer {
	text := k.ReadFile("customers", p.customers)
	if text == nil {
		return nil
	}
	customers, err := parseCustomers(string(text))
	if err != nil {
		k.Fault("customers", fmt.Errorf("%s: %w", p.customers, err))
	}
	return customers
}
