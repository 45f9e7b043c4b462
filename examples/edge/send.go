package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// table returns the routing table with the two send connectors.
func (c *config) table() *routing.Table {
	out, in := &c.Send.Internet, &c.Send.Organization
	if out.Cost < 1 || out.Cost > 100 {
		c.fault("send.internet.cost", fmt.Errorf("%d is not 1 to 100", out.Cost))
	}
	if out.Port < 1 || out.Port > 65535 {
		c.fault("send.internet.port", fmt.Errorf("%d is not 1 to 65535", out.Port))
	}
	internet := routing.Connector{
		Name: "internet", Spaces: []string{fmt.Sprintf("*;%d", out.Cost)}, Port: out.Port,
		TLS: c.level("send.internet.tls", out.TLS),
		// Only mail of the organization and reports go to the internet. This
		// holds even if the policy for the internet is weakened by mistake.
		Scope: routing.Scope{ReceiveConnectors: []string{"organization", "dsn"}},
	}
	organization := routing.Connector{
		Name: "organization", Spaces: []string{"--"}, SmartHosts: c.smartHosts(),
		Exclusive: true, // while its servers are down, the mail waits
		TLS:       c.level("send.organization.tls", in.TLS), Auth: c.credentials(),
	}
	if organization.Auth != nil && organization.TLS == nil {
		organization.TLS = &smtpclient.TLSPolicy{Level: smtpclient.TLSDomain} // only its own servers get the password
	}
	c.roots()
	if len(c.faults) > 0 {
		return nil
	}
	table, err := c.site().NewTable(internet, organization)
	c.fault("send", err)
	return table
}

// site returns the names and addresses of this host. A route to one of them would
// be a mail loop.
func (c *config) site() routing.Site {
	s := routing.Site{Names: []string{c.Hostname}}
	for _, d := range c.Domains {
		s.Domains = append(s.Domains, d.Name)
	}
	for _, text := range []string{c.Receive.Internet.Listen, c.Receive.Organization.Listen} {
		if a, err := listenAddr(text); err == nil {
			s.Addrs = append(s.Addrs, a)
		}
	}
	return s
}

// smartHosts checks and returns the smart hosts.
func (c *config) smartHosts() []routing.SmartHost {
	const section = "send.organization.smart-hosts"
	hosts := c.Send.Organization.SmartHosts
	for i, h := range hosts {
		_, err := routing.NewTable(routing.Connector{Name: "organization", Spaces: []string{"*"}, SmartHosts: []routing.SmartHost{h}})
		if e := (*routing.ConfigError)(nil); errors.As(err, &e) {
			c.fault(fmt.Sprintf("%s[%d]", section, i), errors.New(e.Problem))
		}
	}
	if len(hosts) == 0 {
		c.fault(section, errors.New("needs at least one host"))
	}
	return hosts
}

// level returns the TLS policy for the name of a level; nil if the name is empty.
func (c *config) level(path, name string) *smtpclient.TLSPolicy {
	if name == "" {
		return nil
	}
	var known []string
	for l := smtpclient.TLSNone; l <= smtpclient.TLSDANE; l++ {
		if l.String() == name {
			return &smtpclient.TLSPolicy{Level: l}
		}
		known = append(known, l.String())
	}
	c.fault(path, fmt.Errorf("%q is not one of %s", name, strings.Join(known, ", ")))
	return nil
}

// credentials returns what the edge logs in with at the organization's servers
// (basic authentication), or nil if it is externally secured there.
func (c *config) credentials() smtpclient.Authenticator {
	const section = "send.organization"
	o := &c.Send.Organization
	switch {
	case o.User == "" && o.PasswordFile == "":
		return nil
	case o.User == "" || o.PasswordFile == "":
		c.fault(section, errors.New("user and password-file must be set together"))
		return nil
	case o.TLS == smtpclient.TLSNone.String():
		c.fault(section+".tls", errors.New("a password is sent only over TLS"))
	}
	text, err := readFile(o.PasswordFile)
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimRight(line, "\r"); err == nil && line == "" {
		err = fmt.Errorf("%s: the first line is empty", o.PasswordFile)
	}
	c.fault(section+".password-file", err)
	return smtpclient.PasswordAuth(o.User, line)
}

// roots returns a configuration that trusts the authorities of the organization's
// certificates; nil means those of the system.
func (c *config) roots() *tls.Config {
	const path = "send.organization.roots"
	file := c.Send.Organization.Roots
	if file == "" {
		return nil
	}
	text, err := readFile(file)
	c.fault(path, err)
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(text) {
		c.fault(path, fmt.Errorf("no certificate in %s", file))
	}
	return &tls.Config{RootCAs: pool}
}
