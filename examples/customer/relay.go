package main

import (
	"cmp"
	"context"
	"crypto/tls"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Build implements program.Gateway.
func (c *customer) Build(k *program.Kit) program.Rules {
	c.check(k)
	method := c.fetchMethod(k)
	schedule, err := routing.ParseSchedule(c.schedule, nil)
	k.Fault("schedule", err)
	transport := c.toProvider(k)
	provider := routing.SmartHost{Host: c.provider}
	gate := &policy.Gate{}
	for _, d := range c.domains {
		gate.Domains = append(gate.Domains, policy.Domain{Name: d, Kind: policy.ExternalRelay})
		// The provider accepts only senders in our domains.
		k.ReportFrom = cmp.Or(k.ReportFrom, "postmaster@"+d)
	}
	srv := k.Server("customer")
	if k.Rate == 0 {
		srv.Limits.MessageRate = -1 // all mail comes from one client, in a burst
	}
	table := k.Table(nil, nil,
		// Exclusive: while our mail server is down, its mail waits here. The
		// provider would return it with the next fetch.
		routing.Connector{Name: "mail server", Spaces: c.domains, SmartHosts: routing.SmartHosts(c.server), Exclusive: true},
		// Only for our own reports: we relay no other mail to the internet.
		routing.Connector{Name: "provider", Spaces: []string{"*"}, SmartHosts: []routing.SmartHost{provider},
			Transport: routing.SMTP(transport), SystemMessages: routing.SystemOnly},
	)
	k.Install("domains", gate, srv)
	fetcher := &routing.Fetcher{
		Transport: transport, Provider: provider, Method: method, Domains: c.domains,
		Interval: c.every, Schedule: schedule,
		Serve:    srv.Serve, // the connection after ATRN has the same policy and queue
		Received: func() int64 { return srv.Counters().Messages },
	}
	rules := program.Rules{
		Table: table, Domains: gate.Domains,
		Servers: []*smtpserver.Server{srv}, // with ATRN it has no listener
		Parts:   []gateway.Inheritor{fetcher},
		Tasks:   []func(context.Context) error{func(ctx context.Context) error { fetcher.Run(ctx); return nil }},
	}
	if c.listen != "" {
		rules.Receive = []program.Receive{{Server: srv, Address: c.listen}}
	}
	return rules
}

// toProvider makes the transport to the provider, which gets our password and sends
// our mail. So its certificate must be valid for its name.
func (c *customer) toProvider(k *program.Kit) *smtpclient.Transport {
	t := k.Transport("provider")
	t.TLS = smtpclient.TLSPolicy{Level: smtpclient.TLSDomain}
	t.TLSConfig = &tls.Config{RootCAs: k.Roots("roots", c.roots)}
	t.Auth = smtpclient.PasswordAuth(c.user, k.Secret("password-file", c.passwordFile))
	return t
}
