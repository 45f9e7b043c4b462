package main

import (
	"flag"
	"fmt"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
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
}

// Define implements program.Gateway.
func (e *edge) Define(f *flag.FlagSet) {
	e.accepted.define(f)
	e.internet.define(f)
	e.organization.define(f)
	e.outside.define(f)
	e.inside.define(f)
	e.filters.define(f)
}

// Build implements program.Gateway.
func (e *edge) Build(k *program.Kit) program.Rules {
	k.Each("dns", k.DNS, isServer)
	domains := e.accepted.domains(k)
	internet, organization := k.Server("internet"), e.organization.server(k)

	strangers := &policy.Gate{Domains: domains, Pressure: k.Pressure()}
	e.filters.add(k, strangers)
	// This gate has no accepted domains: a client that is not of the
	// organization cannot use this listener to avoid the filters.
	ours := &policy.Gate{Grants: e.organization.grants(k, organization)}
	if e.filters.headerFirewall {
		ours.Outbound = append(ours.Outbound, new(firewall.Outbound).Agent())
	}
	listen := append(k.Listen(internetListen, e.internet.listen), k.Listen(organizationListen, e.organization.listen)...)
	r := program.Rules{
		Table:   k.Table(domains, listen, e.outside.connector(k), e.inside.connector(k)),
		Domains: domains,
		Receive: []program.Receive{
			{Server: internet, Address: e.internet.listen, Setting: internetListen},
			{Server: organization, Address: e.organization.listen, Setting: organizationListen},
		},
	}
	k.Install("domains", strangers, internet)
	k.Install("receive.organization", ours, organization)
	return r
}

// isServer checks an address of a DNS server.
func isServer(s string) error {
	_, err := netip.ParseAddrPort(s)
	if _, e := netip.ParseAddr(s); e != nil && err != nil {
		return fmt.Errorf("%q is not an address with or without a port", s)
	}
	return nil
}
