package main

import (
	"crypto/x509"
	"errors"
	"os"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the values of the flags.
type settings struct {
	console                                 console.Flags
	listen, partner, space, hostname, spool string
	members                                 []member
	roots                                   *x509.CertPool // nil: those of the system
	dns                                     routing.DNSResolver
	port                                    int
}

// A member is a server of the organization. It has an IP address, not a name:
// it is known by the address.
type member struct {
	domain string
	server routing.SmartHost
}

func (s *settings) addMember(text string) error {
	domain, host, _ := strings.Cut(text, "=")
	m := member{domain, routing.SmartHost{Host: host}}
	if _, ok := m.server.Addr(); !ok || domain == "" {
		return errors.New("not domain=address")
	}
	s.members = append(s.members, m)
	return nil
}

func (s *settings) readRoots(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(b) {
		return errors.New("the file has no certificate")
	}
	return nil
}

func (s *settings) setDNS(servers string) error {
	s.dns.Servers = strings.Split(servers, ",")
	return nil
}

func (s *settings) check() error {
	switch {
	case len(s.members) == 0:
		return errors.New("-member: is required")
	case s.partner == "":
		return errors.New("-partner: is required")
	case s.spool == "":
		return errors.New("-spool: is required")
	}
	return nil
}
