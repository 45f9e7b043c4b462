package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the values of the flags.
type settings struct {
	console                                        console.Flags
	listen, domain, ask, old, new, hostname, spool string
	allow                                          []netip.Prefix
	percent, port                                  int
	dns                                            routing.DNSResolver
}

func (s *settings) setAllow(list string) (err error) {
	s.allow, err = policy.ParseNetworks(list)
	return err
}

func (s *settings) setDNS(servers string) error {
	s.dns.Servers = strings.Split(servers, ",")
	return nil
}

func (s *settings) check() error {
	u, err := url.Parse(s.ask)
	switch {
	case s.domain == "" || s.old == "" || s.new == "" || s.spool == "":
		return errors.New("-domain, -old, -new, -spool: are required")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("-ask: %q is not an http or https URL", s.ask)
	case s.percent < 0 || s.percent > 100:
		return fmt.Errorf("-percent: %d is not between 0 and 100", s.percent)
	}
	return nil
}
