package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the values of the flags.
type settings struct {
	console                                         console.Flags
	inside, outside, networks, domain, organization string
	insideDNS, outsideDNS, hostname, spool          string
}

// check returns the address of the gateway on the internet, and the
// organization's networks.
func (s *settings) check() (source netip.Addr, networks []netip.Prefix, err error) {
	var errs []error
	for flag, value := range map[string]string{"-networks": s.networks, "-domain": s.domain, "-organization": s.organization, "-spool": s.spool} {
		if value == "" {
			errs = append(errs, errors.New(flag+": is required"))
		}
	}
	// A listener on all addresses would be in both networks.
	inside, err := bound("-inside", s.inside)
	errs = append(errs, err)
	outside, err := bound("-outside", s.outside)
	errs = append(errs, err)
	if inside == outside && inside.IsValid() {
		errs = append(errs, fmt.Errorf("-inside and -outside: both are %v", inside))
	}
	if networks, err = policy.ParseNetworks(s.networks); err != nil {
		errs = append(errs, fmt.Errorf("-networks: %w", err))
	}
	return outside.Addr(), networks, errors.Join(errs...)
}

// bound parses the address of one interface.
func bound(flag, addr string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err == nil && ap.Addr().IsUnspecified() || err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s: %q is not the address of one network, as 10.1.0.25:25", flag, addr)
	}
	return ap, nil
}

// resolver returns a resolver that uses the servers of a list with commas. If
// the list is empty, it uses those of the system.
func resolver(list string) *routing.DNSResolver {
	return &routing.DNSResolver{Servers: strings.FieldsFunc(list, func(r rune) bool { return r == ',' })}
}
