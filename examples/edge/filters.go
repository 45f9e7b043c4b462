package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/firewall"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// filter adds the filters to the gate for mail from the internet.
func (c *config) filter(g *policy.Gate, dns routing.Resolver) {
	c.filterClients(g)
	c.filterAddresses(g)
	c.filterOrigins(g, dns)
	f := &c.Filters
	if f.HeaderFirewall {
		g.Inbound = append(g.Inbound, new(firewall.Inbound).Agent())
	}
	if f.AuthResults {
		g.Inbound = append(g.Inbound, (&authres.Stamper{}).Agent())
	}
}

// filterClients adds the filters by client address.
func (c *config) filterClients(g *policy.Gate) {
	f := &c.Filters.Connection
	g.Connection = &policy.ConnectionFilter{
		Allow:      c.networkSet("filters.connection.allow", f.Allow),
		Block:      c.networkSet("filters.connection.block", f.Block),
		AllowLists: c.dnsLists("filters.connection.allow-lists", f.AllowLists),
		BlockLists: c.dnsLists("filters.connection.block-lists", f.BlockLists),
	}
	c.each("filters.connection.except-recipients", f.ExceptRecipients, isAddress)
	g.Connection.ExceptRecipients = f.ExceptRecipients
}

// filterAddresses adds the filters by sender and recipient.
func (c *config) filterAddresses(g *policy.Gate) {
	f := &c.Filters.Sender
	c.each("filters.sender.addresses", f.Addresses, isAddress)
	c.each("filters.sender.domains", f.Domains, func(d string) error {
		return (&policy.SenderFilter{Domains: []string{d}}).Validate()
	})
	g.Senders = &policy.SenderFilter{Addresses: f.Addresses, Domains: f.Domains, Blank: f.Blank}
	if f.MustExist {
		g.SenderDomain = &policy.SenderDomain{}
	}
	if c.Filters.Spoofing {
		g.Spoofing = &policy.Spoofing{}
	}
	r := &c.Filters.Recipient
	c.each("filters.recipient.addresses", r.Addresses, isAddress)
	c.each("filters.recipient.internal", r.Internal, isAddress)
	g.Recipients = &policy.RecipientFilter{Addresses: r.Addresses, Internal: r.Internal}
}

// filterOrigins adds the checks of the sender and the author: SPF, DKIM, and
// DMARC, which uses the results of both.
func (c *config) filterOrigins(g *policy.Gate, dns routing.Resolver) {
	f := &c.Filters
	if c.mode("filters.spf", f.SPF, "none", "check", "reject") != "none" {
		g.MailAuth = append(g.MailAuth, (&spf.Checker{Resolver: dns, RejectFail: f.SPF == "reject"}).Agent())
	}
	if c.mode("filters.dkim", f.DKIM, "none", "check") != "none" {
		g.MailAuth = append(g.MailAuth, (&dkim.Verifier{Resolver: dns}).Agent())
	}
	if c.mode("filters.dmarc", f.DMARC, "none", "check", "reject") == "none" {
		return
	}
	if f.SPF == "none" || f.DKIM == "none" {
		c.fault("filters.dmarc", errors.New("uses the results of SPF and DKIM: neither may be none"))
	}
	g.MailAuth = append(g.MailAuth, (&dmarc.Checker{Resolver: dns, Enforce: f.DMARC == "reject"}).Agent())
}

// mode checks that a word is one of the known ones, and returns it.
func (c *config) mode(path, word string, known ...string) string {
	if !slices.Contains(known, word) {
		c.fault(path, fmt.Errorf("%q is not one of %s", word, strings.Join(known, ", ")))
	}
	return word
}

// each checks the elements of a list.
func (c *config) each(path string, list []string, check func(string) error) {
	for i, s := range list {
		c.fault(fmt.Sprintf("%s[%d]", path, i), check(s))
	}
}

// isAddress checks an address or a local part.
func isAddress(s string) error {
	return (&policy.RecipientFilter{Addresses: []string{s}}).Validate()
}

// networks parses networks, ranges and single addresses.
func (c *config) networks(path string, list []string) (all []netip.Prefix) {
	c.each(path, list, func(s string) error {
		networks, err := policy.ParseNetwork(s)
		all = append(all, networks...)
		return err
	})
	return all
}

func (c *config) networkSet(path string, list []string) *policy.Networks {
	set, err := policy.NewNetworks(c.networks(path, list)...)
	c.fault(path, err)
	return set
}

func (c *config) dnsLists(path string, zones []string) (all []policy.DNSList) {
	c.each(path, zones, func(z string) error {
		l := policy.DNSList{Zone: z}
		all = append(all, l)
		return (&policy.ConnectionFilter{BlockLists: []policy.DNSList{l}}).Validate()
	})
	return all
}
