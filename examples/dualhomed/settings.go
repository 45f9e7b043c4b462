package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// dualhomed has the settings of this gateway.
type dualhomed struct {
	inside, outside, domain, organization string
	networks                              program.Networks
	insideDNS, outsideDNS                 program.List
}

// Define implements program.Gateway.
func (d *dualhomed) Define(f *flag.FlagSet) {
	f.StringVar(&d.inside, "inside", "", "`address:port` of this gateway in the organization's network; required")
	f.StringVar(&d.outside, "outside", "", "`address:port` of this gateway on the internet; required. Mail to the internet leaves from this\naddress")
	f.Var(&d.networks, "networks", "`networks` of the organization, whose machines may send mail to any domain, as\n10.1.0.0/16,10.2.0.0/16; required")
	f.StringVar(&d.domain, "domain", "", "`domain` of the organization; required")
	f.StringVar(&d.organization, "organization", "", "`host[:port]` that takes the mail for -domain, a name or an address; required. The default port\nis 25")
	f.Var(&d.insideDNS, "inside-dns", "DNS `servers` for the organization's host, as host or host:port, separated by commas; default:\nthose of -dns")
	f.Var(&d.outsideDNS, "outside-dns", "DNS `servers` for the internet, as host or host:port, separated by commas; default: those of -dns")
}

// bound parses the address of one interface. A listener on all addresses would be in
// both networks.
func bound(k *program.Kit, setting, address string) netip.AddrPort {
	a, err := netip.ParseAddrPort(address)
	switch {
	case address == "":
		k.Require(setting, false)
	case err != nil || a.Addr().IsUnspecified():
		k.Fault(setting, fmt.Errorf("%q is not the address of one network, as 10.1.0.25:25", address))
	}
	return a
}

func (d *dualhomed) check(k *program.Kit) (inside, outside netip.AddrPort) {
	inside, outside = bound(k, "inside", d.inside), bound(k, "outside", d.outside)
	if inside == outside && inside.IsValid() {
		k.Fault("outside", errors.New("is also the address of inside"))
	}
	k.Require("networks", len(d.networks) > 0)
	k.Require("domain", d.domain != "")
	k.RequireHost("organization", d.organization)
	return inside, outside
}

// resolver returns a resolver that uses servers of its own, or nil for that of the
// gateway.
func resolver(servers program.List) routing.Resolver {
	if len(servers) == 0 {
		return nil
	}
	return &routing.DNSResolver{Servers: servers}
}
