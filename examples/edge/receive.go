package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/firewall"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// rules are what a configuration comes to: all that SIGHUP exchanges.
type rules struct {
	table                  *routing.Table
	internet, organization *smtpserver.Server
}

// parts are what rules are used with, and what outlives them.
type parts struct {
	queue    policy.Submitter
	resolver routing.Resolver
	overflow func() (*os.File, error)
	log      *slog.Logger
	received smtpserver.ProtocolLog
}

// nothing is for rules that are only checked.
func nothing(c *config) parts { return parts{queue: &queue.Queue{}, resolver: c.resolver()} }

// newRules makes the rules, or tells all that is wrong with the configuration.
func newRules(c *config, p parts) (*rules, error) {
	c.server()
	cert := c.certificate()
	r := &rules{table: c.table()}
	r.internet = &smtpserver.Server{Name: "internet", Hostname: c.Hostname, TLSConfig: cert,
		Overflow: p.overflow, Logger: p.log, ProtocolLog: p.received}
	r.organization = &smtpserver.Server{Name: "organization", Hostname: c.Hostname, TLSConfig: cert,
		Overflow: p.overflow, Logger: p.log, ProtocolLog: p.received}

	dns := &routing.NetResolver{Resolver: p.resolver}
	strangers := &policy.Gate{Domains: c.accepted(), Resolver: dns, Queue: p.queue}
	c.filter(strangers, dns)
	// Without accepted domains: whoever is not of the organization cannot
	// come in here, past the filters.
	ours := &policy.Gate{Grants: c.grants(r.organization), Resolver: dns, Queue: p.queue}
	if c.Filters.HeaderFirewall {
		ours.Outbound = append(ours.Outbound, new(firewall.Outbound).Agent())
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	c.fault("receive.internet", strangers.Install(r.internet))
	c.fault("receive.organization", ours.Install(r.organization))
	return r, c.err()
}

// certificate is for STARTTLS, on both sides.
func (c *config) certificate() *tls.Config {
	if c.Certificate == "" && c.Key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	c.fault("certificate", err)
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// accepted are the domains that the internet may send to. Each is tried
// together with those before it, so that the one that is wrong is named.
func (c *config) accepted() (all []policy.Domain) {
	kinds := map[string]policy.Kind{"": policy.Authoritative}
	for _, k := range []policy.Kind{policy.Authoritative, policy.InternalRelay, policy.ExternalRelay} {
		kinds[k.String()] = k
	}
	for i, d := range c.Domains {
		path := fmt.Sprintf("domains[%d]", i)
		kind, known := kinds[d.Kind]
		if !known {
			c.fault(path+".kind", fmt.Errorf("%q is none of authoritative, internal relay, external relay", d.Kind))
		}
		with := append(all, policy.Domain{Name: d.Name, Kind: kind, Directory: c.directory(path, &d)})
		domains, err := policy.NewDomains(with...)
		if err == nil {
			err = (&policy.Relay{Domains: domains}).Validate()
		}
		if err == nil {
			all = with
		}
		c.fault(path+".name", err)
	}
	if len(c.Domains) == 0 {
		c.fault("domains", errors.New("whose mail is accepted?"))
	}
	return all
}

// directory knows the recipients of a domain; nil when nobody has listed them.
func (c *config) directory(path string, d *domain) policy.Directory {
	switch {
	case d.RecipientsFile != "" && len(d.Recipients) > 0:
		c.fault(path+".recipients-file", errors.New("there are recipients already"))
	case d.RecipientsFile != "":
		f := &policy.FileDirectory{Path: d.RecipientsFile}
		c.fault(path+".recipients-file", f.Load())
		return f
	case len(d.Recipients) > 0:
		c.each(path+".recipients", d.Recipients, isAddress)
		return policy.Recipients(d.Recipients...)
	}
	return nil
}

// grants say who the organization is: hosts that something outside this server
// secures, and accounts, for which TLS is a must. Both have the rights of
// Exchange servers.
func (c *config) grants(srv *smtpserver.Server) (all []policy.Grant) {
	const section = "receive.organization"
	o := &c.Receive.Organization
	if len(o.ExternallySecured) == 0 && o.Accounts == "" {
		c.fault(section, errors.New("who is it? Needs externally-secured, or accounts"))
	}
	var secured []netip.Prefix
	c.each(section+".externally-secured", o.ExternallySecured, func(s string) error {
		networks, err := policy.ParseNetwork(s)
		if err != nil {
			return err
		}
		secured = append(secured, networks...) // with those before it, since together they may be half the world
		all = []policy.Grant{{To: policy.Clients{Networks: secured}, Rights: policy.ExternallySecured}}
		return (&policy.Relay{Grants: all}).Validate()
	})
	if o.Accounts == "" {
		return all
	}
	a, err := readAccounts(o.Accounts)
	c.fault(section+".accounts", err)
	if c.Certificate == "" {
		c.fault(section+".accounts", errors.New("passwords travel only under TLS: needs certificate and key"))
	}
	srv.Auth = smtpserver.PasswordAuth(a.check)
	return append(all, policy.Grant{To: policy.Clients{Identities: a.names()}, Rights: policy.ExchangeServers})
}
