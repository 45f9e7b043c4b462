package main

import (
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Build implements program.Gateway.
func (p *provider) Build(k *program.Kit) program.Rules {
	p.check(k)
	customers := p.readCustomers(k)
	connectors := []routing.Connector{{
		Name: "internet", Spaces: []string{"*"}, Port: p.port,
		// Mail of a customer that was removed from the file while the MX records
		// name us. It waits until the customer or the MX records are corrected.
		Errors: routing.ErrorPolicy{DowngradeLoops: true},
	}}
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
	if k.Router.Wake == nil {
		k.Router.Wake = routing.WakeQueue(k.Queue) // ETRN and ATRN start delivery at once
	}
	srv := k.Server(receiveConnector)
	srv.Auth = smtpserver.PasswordAuth(passwords(customers))
	srv.Agents = []smtpserver.Agent{policy.HeldMail(k.Router)}
	// The MX records of a domain without a host may name the customer.
	table := k.Table(nil, k.Listen("listen", p.listen), connectors...)
	k.Install("customers", gate, srv)
	var warnings []string
	if k.Exposed(p.customers) {
		warnings = []string{"customers: other users can read or write " + p.customers + ", which has passwords: its mode should be 0600"}
	}
	return program.Rules{
		Warnings: warnings,
		Receive:  []program.Receive{{Server: srv, Address: p.listen}}, Table: table, Domains: gate.Domains,
		Retry: lifetimes{queue.Retry{Expiry: k.Expire, DelayNotice: k.Delay}, p.keep},
	}
}

// lifetimes gives the mail for customers its queue lifetime, also after the customer
// was removed.
type lifetimes struct {
	queue.Retry
	keep time.Duration
}

// Lifetime implements queue.RetryPolicy.
func (l lifetimes) Lifetime(m *queue.Message) (notice, expiry time.Duration) {
	notice, expiry = l.Retry.Lifetime(m)
	if m.Origin.Connector == receiveConnector && !m.Origin.Internal {
		expiry = l.keep // from outside, and so for a customer
	}
	return notice, expiry
}

// receiveConnector is the name of the receive connector.
const receiveConnector = "provider"

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
