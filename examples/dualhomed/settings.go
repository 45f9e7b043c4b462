package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the flags.
type settings struct {
	inside, outside, networks, domain, organisation string
	insideDNS, outsideDNS, hostname, spool          string
}

// check returns the address that we have in the internet, and the
// organisation's networks.
func (s *settings) check() (outside netip.Addr, networks []netip.Prefix, err error) {
	var errs []error
	for flag, value := range map[string]string{"-networks": s.networks, "-domain": s.domain, "-organisation": s.organisation, "-spool": s.spool} {
		if value == "" {
			errs = append(errs, errors.New(flag+": is needed"))
		}
	}
	// A connector on all addresses would be in both networks.
	in, err1 := bound("-inside", s.inside)
	out, err2 := bound("-outside", s.outside)
	errs = append(errs, err1, err2)
	if in == out && in.IsValid() {
		errs = append(errs, fmt.Errorf("-inside and -outside: %v is both", in))
	}
	for f := range strings.SplitSeq(s.networks, ",") {
		p, err := netip.ParsePrefix(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("-networks: %q is no network, as 10.1.0.0/16", f))
		}
		networks = append(networks, p)
	}
	return out.Addr(), networks, errors.Join(errs...)
}

// bound is an address of one interface.
func bound(flag, addr string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err == nil && ap.Addr().IsUnspecified() || err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s: %q is no address of one network, as 10.1.0.25:25", flag, addr)
	}
	return ap, nil
}

func resolver(servers string) *routing.DNSResolver {
	if servers == "" {
		return &routing.DNSResolver{}
	}
	return &routing.DNSResolver{Servers: strings.Split(servers, ",")}
}
