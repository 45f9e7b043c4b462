package main

import (
	"flag"
	"fmt"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/examples/internal/antispam"
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/sendsec"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/firewall"
)

// edge has the settings of this gateway.
type edge struct {
	accepted     accepted
	internet     receiveInternet
	organization receiveOrganization
	outside      sendInternet
	inside       sendOrganization
	filters      filters
	antispam     antispam.Filters
	tls          sendsec.Internet
	dkim         sendsec.DKIM
	arc          sendsec.ARC
}

// Define implements program.Gateway.
func (e *edge) Define(f *flag.FlagSet) {
	e.accepted.define(f)
	e.internet.define(f)
	e.organization.define(f)
	e.outside.define(f)
	e.inside.define(f)
	e.filters.define(f)
	e.antispam.Define(f, "filters.")
	e.tls.Define(f, "send.internet.")
	e.dkim.Define(f, "send.dkim.")
	e.arc.Define(f, "filters.")
}

// Build implements program.Gateway.
func (e *edge) Build(k *program.Kit) program.Rules {
	k.Each("dns", k.DNS, isServer)
	domains := e.accepted.domains(k)
	internet, organization := k.Server("internet"), e.organization.server(k)
	// This gate has no accepted domains: a client that is not of the
	// organization cannot use this listener to avoid the filters.
	ours := &policy.Gate{Grants: e.organization.grants(k, organization)}
	strangers := &policy.Gate{Domains: domains, Pressure: k.Pressure()}
	r := program.Rules{
		Domains: domains,
		Receive: []program.Receive{
			{Server: internet, Address: e.internet.listen, Setting: internetListen},
			{Server: organization, Address: e.organization.listen, Setting: organizationListen},
		},
	}
	e.add(k, strangers, ours, &r)
	k.Install("domains", strangers, internet)
	k.Install("receive.organization", ours, organization)
	return r
}

// add adds the filters to the gates, and the routing table to the rules.
func (e *edge) add(k *program.Kit, strangers, ours *policy.Gate, r *program.Rules) {
	e.filters.add(k, strangers)
	if e.filters.headerFirewall {
		ours.Outbound = append(ours.Outbound, new(firewall.Outbound).Agent())
	}
	signer := e.dkim.Use(k, ours, r) // it signs what the agents before it have made
	e.arc.Use(k, strangers, signer)
	e.antispam.Internal = e.filters.connection.internal
	e.antispam.Add(k, strangers, r)
	e.antispam.AddRules(k, ours)

	listen := append(k.Listen(internetListen, e.internet.listen), k.Listen(organizationListen, e.organization.listen)...)
	outside := e.outside.connector(k)
	e.tls.Use(k, &outside, r, signer)
	r.Table = k.Table(r.Domains, listen, outside, e.inside.connector(k))
}

// isServer checks an address of a DNS server.
func isServer(s string) error {
	_, err := netip.ParseAddrPort(s)
	if _, e := netip.ParseAddr(s); e != nil && err != nil {
		return fmt.Errorf("%q is not an address with or without a port", s)
	}
	return nil
}
