package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the flags.
type settings struct {
	listen, domains, bridgehead, recipients, hostname, spool, dns string
	port                                                          int
}

func (s *settings) check() error {
	var errs []error
	for flag, value := range map[string]string{"-domains": s.domains, "-spool": s.spool} {
		if value == "" {
			errs = append(errs, errors.New(flag+": is needed"))
		}
	}
	return errors.Join(errs...)
}

// theBridgehead is the bridgehead as a smart host and as a client. It is named
// by its address, since that is what tells it from strangers.
func (s *settings) theBridgehead() (smartHost string, client netip.Prefix, err error) {
	a, err := netip.ParseAddr(s.bridgehead)
	smartHost = "[" + s.bridgehead + "]"
	if err != nil {
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s.bridgehead)
		a, smartHost = ap.Addr(), fmt.Sprintf("[%v]:%d", ap.Addr(), ap.Port())
	}
	if err != nil {
		return "", client, fmt.Errorf("-bridgehead: %q is no IP address, with a port or without", s.bridgehead)
	}
	return smartHost, netip.PrefixFrom(a, a.BitLen()), nil
}

// accepted are the organisation's domains with the mailboxes that they have, if
// we know them.
func (s *settings) accepted() (names []string, domains []policy.Domain, err error) {
	var directory policy.Directory
	if s.recipients != "" {
		file := &policy.FileDirectory{Path: s.recipients}
		if err := file.Load(); err != nil {
			return nil, nil, fmt.Errorf("-recipients: %w", err)
		}
		directory = file
	}
	names = strings.Split(s.domains, ",")
	for _, name := range names {
		domains = append(domains, policy.Domain{Name: name, Directory: directory})
	}
	return names, domains, nil
}

func (s *settings) resolver() routing.Resolver {
	if s.dns == "" {
		return &routing.DNSResolver{}
	}
	return &routing.DNSResolver{Servers: strings.Split(s.dns, ",")}
}
