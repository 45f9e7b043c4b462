package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the flags.
type settings struct {
	listen, partner, space, roots, hostname, spool, dns string
	members                                             []member
	port                                                int
}

// A member is a server of the organisation. It is named by its address, since
// that is what tells it from strangers.
type member struct {
	domain    string
	client    netip.Prefix
	smartHost string
}

func (s *settings) addMember(text string) error {
	domain, host, _ := strings.Cut(text, "=")
	a, err := netip.ParseAddr(host)
	smartHost := "[" + host + "]"
	if err != nil {
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(host)
		a, smartHost = ap.Addr(), fmt.Sprintf("[%v]:%d", ap.Addr(), ap.Port())
	}
	if err != nil || domain == "" {
		return fmt.Errorf("%q is not domain=address", text)
	}
	s.members = append(s.members, member{domain, netip.PrefixFrom(a, a.BitLen()), smartHost})
	return nil
}

func (s *settings) check() error {
	var errs []error
	if len(s.members) == 0 {
		errs = append(errs, errors.New("-member: where are the mailboxes?"))
	}
	for flag, value := range map[string]string{"-partner": s.partner, "-spool": s.spool} {
		if value == "" {
			errs = append(errs, errors.New(flag+": is needed"))
		}
	}
	return errors.Join(errs...)
}

// tlsConfig trusts whom -partner-roots names.
func (s *settings) tlsConfig() (*tls.Config, error) {
	if s.roots == "" {
		return nil, nil
	}
	b, err := os.ReadFile(s.roots)
	if err != nil {
		return nil, fmt.Errorf("-partner-roots: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("-partner-roots: no certificate in %s", s.roots)
	}
	return &tls.Config{RootCAs: pool}, nil
}

func (s *settings) resolver() routing.Resolver {
	if s.dns == "" {
		return &routing.DNSResolver{}
	}
	return &routing.DNSResolver{Servers: strings.Split(s.dns, ",")}
}
