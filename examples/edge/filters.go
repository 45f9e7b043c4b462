package main

import (
	"errors"
	"flag"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/firewall"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
)

// filters are the filters for mail from the internet.
type filters struct {
	connection connectionFilter
	names      clientNames

	senders, senderDomains      program.List
	blank, mustExist            bool
	recipients, internal        program.List
	spoofing                    bool
	spf, dkim, dmarc            string
	authResults, headerFirewall bool
}

// define defines the flags. Some filters are on by default.
func (c *filters) define(f *flag.FlagSet) {
	c.connection.define(f)
	c.names.define(f)
	f.Var(&c.senders, "filters.sender.addresses", "`senders`, in the reverse-path and the From field, that are refused: 554 5.1.0")
	f.Var(&c.senderDomains, "filters.sender.domains", "`domains` whose senders are refused: 554 5.1.0")
	f.BoolVar(&c.blank, "filters.sender.blank", false, "refuse the null reverse-path, which reports have")
	f.BoolVar(&c.mustExist, "filters.sender.must-exist", false, "refuse senders whose domain has neither an MX nor an address record")
	f.Var(&c.recipients, "filters.recipient.addresses", "`addresses` that the internet cannot send to: 550 5.1.1")
	f.Var(&c.internal, "filters.recipient.internal", "`addresses` only for the organization, as distribution lists: 550 5.7.1")
	f.BoolVar(&c.spoofing, "filters.spoofing", true, "refuse senders in the accepted domains")
	c.spf, c.dkim, c.dmarc = "check", "check", "reject"
	f.Var(program.Choice(&c.spf, "none", "check", "reject"), "filters.spf", "SPF `mode`: none, check or reject")
	f.Var(program.Choice(&c.dkim, "none", "check"), "filters.dkim", "DKIM `mode`: none or check")
	f.Var(program.Choice(&c.dmarc, "none", "check", "reject"), "filters.dmarc", "DMARC `mode`: none, check, or reject if the author's domain requests it. It uses SPF and DKIM")
	f.BoolVar(&c.authResults, "filters.authentication-results", true, "write the results of the checks into the header")
	f.BoolVar(&c.headerFirewall, "filters.header-firewall", true, "remove X-MS-Exchange-Organization-* and similar fields, in both directions")
}

// add adds the filters to the gate for mail from the internet.
func (c *filters) add(k *program.Kit, g *policy.Gate) {
	g.Connection = c.connection.filter(k)
	g.ClientName = c.names.filter(k, &c.connection)
	c.addAddresses(k, g)
	c.addOrigins(k, g)
	if c.headerFirewall {
		g.Inbound = append(g.Inbound, new(firewall.Inbound).Agent())
	}
	if c.authResults {
		g.Inbound = append(g.Inbound, (&authres.Stamper{}).Agent())
	}
}

// addAddresses adds the filters by sender and recipient.
func (c *filters) addAddresses(k *program.Kit, g *policy.Gate) {
	k.Each("filters.sender.addresses", c.senders, isAddress)
	k.Each("filters.sender.domains", c.senderDomains, func(d string) error {
		return (&policy.SenderFilter{Domains: []string{d}}).Validate()
	})
	g.Senders = &policy.SenderFilter{Addresses: c.senders, Domains: c.senderDomains, Blank: c.blank}
	if c.mustExist {
		g.SenderDomain = &policy.SenderDomain{}
	}
	if c.spoofing {
		g.Spoofing = &policy.Spoofing{}
	}
	k.Each("filters.recipient.addresses", c.recipients, isAddress)
	k.Each("filters.recipient.internal", c.internal, isAddress)
	g.Recipients = &policy.RecipientFilter{Addresses: c.recipients, Internal: c.internal}
}

// addOrigins adds the checks of the sender and the author: SPF, DKIM, and
// DMARC, which uses the results of both.
func (c *filters) addOrigins(k *program.Kit, g *policy.Gate) {
	if c.spf != "none" {
		checker := &spf.Checker{Resolver: k.Resolver, RejectFail: c.spf == "reject"}
		if internal := c.connection.internal; len(internal) > 0 { // the client may be one of our own relays
			checker.Origin = policy.Origin(networks(k, "filters.connection.internal", internal))
		}
		g.MailAuth = append(g.MailAuth, checker.Agent())
	}
	if c.dkim != "none" {
		g.MailAuth = append(g.MailAuth, (&dkim.Verifier{Resolver: k.Resolver}).Agent())
	}
	if c.dmarc == "none" {
		return
	}
	if c.spf == "none" || c.dkim == "none" {
		k.Fault("filters.dmarc", errors.New("uses the results of SPF and DKIM: neither may be none"))
	}
	g.MailAuth = append(g.MailAuth, (&dmarc.Checker{Resolver: k.Resolver, Enforce: c.dmarc == "reject"}).Agent())
}

// isAddress checks an address or a local part.
func isAddress(s string) error {
	return (&policy.RecipientFilter{Addresses: []string{s}}).Validate()
}
