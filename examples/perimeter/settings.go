package main

import (
	"errors"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the values of the flags.
type settings struct {
	console                 console.Flags
	listen, hostname, spool string
	domains                 []string
	bridgehead              routing.SmartHost
	recipients              policy.Directory // nil: the bridgehead checks them
	dns                     routing.DNSResolver
	port                    int
}

func (s *settings) setDomains(list string) error {
	s.domains = strings.Split(list, ",")
	return nil
}

// setBridgehead requires an IP address: the bridgehead is known by it.
func (s *settings) setBridgehead(host string) error {
	s.bridgehead.Host = host
	if _, ok := s.bridgehead.Addr(); !ok {
		return errors.New("not an IP address, with a port or without")
	}
	return nil
}

func (s *settings) readRecipients(path string) error {
	file := &policy.FileDirectory{Path: path}
	s.recipients = file
	return file.Load()
}

func (s *settings) setDNS(servers string) error {
	s.dns.Servers = strings.Split(servers, ",")
	return nil
}

func (s *settings) check() error {
	switch {
	case len(s.domains) == 0:
		return errors.New("-domains: is required")
	case s.bridgehead.Host == "":
		return errors.New("-bridgehead: is required")
	case s.spool == "":
		return errors.New("-spool: is required")
	}
	return nil
}
