package main

import (
	"flag"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
)

// connectionFilter is the filter by the address of the client.
type connectionFilter struct {
	allow, block, internal program.Networks
	allowLists, blockLists program.List
	except                 program.List
}

func (c *connectionFilter) define(f *flag.FlagSet) {
	const section = "filters.connection."
	f.Var(&c.allow, section+"allow", "`networks` that the lists do not apply to")
	f.Var(&c.block, section+"block", "`networks` that are refused: 550 5.7.1")
	f.Var(&c.internal, section+"internal", "`networks` of the organization's own relays and firewalls in front of this gateway (InternalSMTPServers\nof Exchange). The lists and the client names apply to the host from which they received the mail")
	f.Var(&c.allowLists, section+"allow-lists", "`zones` of DNS lists of clients that are never refused")
	f.Var(&c.blockLists, section+"block-lists", "`zones` of DNS lists of clients that are refused, as zen.spamhaus.org: 550 5.7.1")
	f.Var(&c.except, section+"except-recipients", "`recipients` that get mail from every client, as postmaster,abuse")
}

func (c *connectionFilter) filter(k *program.Kit) *policy.ConnectionFilter {
	const section = "filters.connection."
	k.Each(section+"except-recipients", c.except, isAddress)
	return &policy.ConnectionFilter{
		Allow:            networks(k, section+"allow", c.allow),
		Block:            networks(k, section+"block", c.block),
		Internal:         networks(k, section+"internal", c.internal),
		AllowLists:       dnsLists(k, section+"allow-lists", c.allowLists),
		BlockLists:       dnsLists(k, section+"block-lists", c.blockLists),
		ExceptRecipients: c.except,
	}
}

func networks(k *program.Kit, setting string, list program.Networks) *policy.Networks {
	set, err := policy.NewNetworks(list...)
	k.Fault(setting, err)
	return set
}

func dnsLists(k *program.Kit, setting string, zones []string) (all []policy.DNSList) {
	k.Each(setting, zones, func(z string) error {
		l := policy.DNSList{Zone: z}
		all = append(all, l)
		return (&policy.ConnectionFilter{BlockLists: []policy.DNSList{l}}).Validate()
	})
	return all
}

// clientNames is the filter by the names of the client: that of its PTR record, and
// that of HELO.
type clientNames struct {
	noPTR, unconfirmed, helo string
	heloForward              bool
	delay                    time.Duration
}

// actions are the values of the settings of clientNames.
var actions = []string{"ignore", "tag", "delay", "defer", "refuse"}

func (c *clientNames) define(f *flag.FlagSet) {
	const section = "filters.client-name."
	c.noPTR, c.unconfirmed, c.helo = "ignore", "ignore", "ignore"
	f.Var(program.Choice(&c.noPTR, actions...), section+"no-ptr", "`action` if the address of the client has no PTR record: ignore, tag (add X-Client-Name to the header),\ndelay (also wait before the first RCPT), defer (450 4.7.25) or refuse (550 5.7.25)")
	f.Var(program.Choice(&c.unconfirmed, actions...), section+"unconfirmed", "`action` if no PTR name of the client has its address")
	f.Var(program.Choice(&c.helo, actions...), section+"helo", "`action` if the name in HELO is not a PTR name of the client. RFC 5321 says that this alone is no\nreason to refuse mail: tag or delay is usual")
	f.BoolVar(&c.heloForward, section+"helo-forward", false, "accept also a name in HELO that has the address of the client")
	f.DurationVar(&c.delay, section+"delay", 10*time.Second, "`time` that the action delay waits")
}

// filter returns nil if the filter is off.
func (c *clientNames) filter(k *program.Kit, connection *connectionFilter) *policy.ClientName {
	f := &policy.ClientName{HeloForward: c.heloForward, Delay: c.delay, ExceptRecipients: connection.except}
	of := map[string]policy.NameAction{"ignore": policy.NameIgnore, "tag": policy.NameTag, "delay": policy.NameDelay, "defer": policy.NameDefer, "refuse": policy.NameRefuse}
	f.NoPTR, f.Unconfirmed, f.Helo = of[c.noPTR], of[c.unconfirmed], of[c.helo]
	if f.NoPTR+f.Unconfirmed+f.Helo == 0 {
		return nil
	}
	f.Except = networks(k, "filters.connection.allow", connection.allow)
	f.Internal = networks(k, "filters.connection.internal", connection.internal)
	return f
}
