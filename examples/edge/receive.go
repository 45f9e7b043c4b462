package main

import (
	"bytes"
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

// rules are the parts of the gateway that SIGHUP replaces.
type rules struct {
	table                  *routing.Table
	internet, organization *smtpserver.Server
}

// parts are the parts of the gateway that rules use and that SIGHUP does not
// replace.
type parts struct {
	queue       policy.Submitter
	resolver    routing.Resolver
	contentFile func() (*os.File, error)
	log         *slog.Logger
	received    smtpserver.ProtocolLog
}

// forCheck returns parts for rules that are only checked.
func forCheck(c *config) parts { return parts{queue: &queue.Queue{}, resolver: c.resolver()} }

// newRules makes the rules of a configuration. The error has all faults of the
// configuration.
func newRules(c *config, p parts) (*rules, error) {
	c.server()
	cert := c.certificate()
	r := &rules{table: c.table()}
	r.internet = &smtpserver.Server{Name: "internet", TLSConfig: cert,
		ContentFile: p.contentFile, Logger: p.log, ProtocolLog: p.received}
	r.organization = &smtpserver.Server{Name: "organization", TLSConfig: cert,
		ContentFile: p.contentFile, Logger: p.log, ProtocolLog: p.received}

	strangers := &policy.Gate{Domains: c.accepted(p.log), Resolver: p.resolver, Queue: p.queue}
	c.filter(strangers, p.resolver)
	// This gate has no accepted domains: a client that is not of the
	// organization cannot use this listener to avoid the filters.
	ours := &policy.Gate{Grants: c.grants(r.organization), Resolver: p.resolver, Queue: p.queue}
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

// certificate returns the TLS configuration for STARTTLS of both listeners.
func (c *config) certificate() *tls.Config {
	if c.Certificate == "" && c.Key == "" {
		return nil
	}
	cert, err1 := readFile(c.Certificate)
	key, err2 := readFile(c.Key)
	if err := errors.Join(err1, err2); err != nil {
		c.fault("certificate", err)
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	c.fault("certificate", err)
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// readFile reads a file without the byte order mark that editors of Windows write.
func readFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	return bytes.TrimPrefix(text, []byte("\ufeff")), err
}

// accepted returns the accepted domains. It checks each one together with those
// before it, so that the error names the faulty one.
func (c *config) accepted(log *slog.Logger) (all []policy.Domain) {
	kinds := map[string]policy.Kind{"": policy.Authoritative}
	for _, k := range []policy.Kind{policy.Authoritative, policy.InternalRelay, policy.ExternalRelay} {
		kinds[k.String()] = k
	}
	for i, d := range c.Domains {
		path := fmt.Sprintf("domains[%d]", i)
		kind, known := kinds[d.Kind]
		if !known {
			c.fault(path+".kind", fmt.Errorf("%q is not one of authoritative, internal relay, external relay", d.Kind))
		}
		with := append(all, policy.Domain{Name: d.Name, Kind: kind, Directory: c.directory(path, &d, log)})
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
		c.fault("domains", errors.New("needs at least one domain"))
	}
	return all
}

// directory returns the recipients of a domain; nil if they are not listed.
func (c *config) directory(path string, d *domain, log *slog.Logger) policy.Directory {
	switch {
	case d.RecipientsFile != "" && len(d.Recipients) > 0:
		c.fault(path+".recipients-file", errors.New("recipients and recipients-file exclude each other"))
	case d.RecipientsFile != "":
		f := &policy.FileDirectory{Path: d.RecipientsFile}
		c.fault(path+".recipients-file", f.Load())
		f.Logger = log
		return f
	case len(d.Recipients) > 0:
		c.each(path+".recipients", d.Recipients, isAddress)
		return policy.Recipients(d.Recipients...)
	case c.has(path + ".recipients"):
		c.fault(path+".recipients", errors.New("has no recipients. Without the setting, the domain accepts all of them"))
	case c.has(path + ".recipients-file"):
		c.fault(path+".recipients-file", errors.New("has no name of a file. Without the setting, the domain accepts all recipients"))
	}
	return nil
}

// grants returns the rights of the organization's servers: hosts that are
// externally secured, and accounts, which require TLS. Both have the rights of
// Exchange servers.
func (c *config) grants(srv *smtpserver.Server) (all []policy.Grant) {
	const section = "receive.organization"
	o := &c.Receive.Organization
	if len(o.ExternallySecured) == 0 && o.Accounts == "" {
		c.fault(section, errors.New("needs externally-secured or accounts"))
	}
	var secured []netip.Prefix
	c.each(section+".externally-secured", o.ExternallySecured, func(s string) error {
		networks, err := policy.ParseNetwork(s)
		if err != nil {
			return err
		}
		secured = append(secured, networks...) // checked together: two networks may cover all addresses
		all = []policy.Grant{{To: policy.Clients{Networks: secured}, Rights: policy.ExternallySecured}}
		return (&policy.Relay{Grants: all}).Validate()
	})
	if o.Accounts == "" {
		return all
	}
	a, err := readAccounts(o.Accounts)
	c.fault(section+".accounts", err)
	if c.Certificate == "" {
		c.fault(section+".accounts", errors.New("passwords are accepted only over TLS: needs certificate and key"))
	}
	srv.Auth = smtpserver.PasswordAuth(a.check)
	return append(all, policy.Grant{To: policy.Clients{Identities: a.names()}, Rights: policy.ExchangeServers})
}
