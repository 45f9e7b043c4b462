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
	login := c.login(k)
	gate := policy.Gate{Networks: c.allow}
	for _, d := range c.domains {
		gate.Domains = append(gate.Domains, policy.Domain{Name: d, Kind: policy.ExternalRelay})
		// The provider accepts only senders in our domains.
		k.ReportFrom = cmp.Or(k.ReportFrom, "postmaster@"+d)
	}
	fetched := c.connector(k, "fetched", gate)
	table := k.Table(nil, nil,
		// Exclusive: while our mail server is down, its mail waits here. The
		// provider would return it with the next fetch.
		routing.Connector{Name: "mail server", Spaces: c.domains, SmartHosts: routing.SmartHosts(c.server), Exclusive: true},
		c.toInternet(k, login),
	)
	fetch := c.fetching(k, login, fetched)
	rules := program.Rules{
		Table: table, Domains: gate.Domains,
		Servers: []*smtpserver.Server{fetched}, // it has no listener, so a reload does not end it
		Applied: []func(){func() { c.kept.auth.Store(&login.auth) }},
		Parts:   []gateway.Inheritor{fetch.Fetcher},
		Tasks:   []func(context.Context) error{fetch.run},
	}
	if c.listen != "" {
		rules.Receive = []program.Receive{{Server: c.connector(k, "customer", gate), Address: c.listen}}
	}
	return rules
}

// connector makes a receive connector for mail of the provider and of the office's hosts.
func (c *customer) connector(k *program.Kit, name string, gate policy.Gate) *smtpserver.Server {
	srv := k.Server(name)
	if k.Rate == 0 {
		srv.Limits.MessageRate = -1 // all mail comes from one client, in a burst
	}
	k.Install("domains", &gate, srv)
	return srv
}

// toInternet returns the connector for all mail to the internet: through the
// provider, at its times.
func (c *customer) toInternet(k *program.Kit, login login) routing.Connector {
	t := login.transport(k)
	if c.etrnAfterSend {
		t.RequestMail = c.domains
	}
	provider := routing.Connector{Name: "provider", Spaces: []string{"*"}, SmartHosts: []routing.SmartHost{{Host: c.provider}},
		Transport: routing.SMTP(t), Schedule: parseSchedule(k, "send-schedule", c.sendSchedule), OnDemand: c.sendSchedule == onDemand}
	if len(c.allow) == 0 {
		provider.SystemMessages = routing.SystemOnly // only our own reports
	}
	return provider
}

// A login has the credentials for the provider. It gets our password and our mail, so
// its certificate must be valid for its name.
type login struct {
	tls  *tls.Config
	auth smtpclient.Authenticator
}

func (c *customer) login(k *program.Kit) login {
	return login{&tls.Config{RootCAs: k.Roots("roots", c.roots)}, smtpclient.PasswordAuth(c.user, k.Secret("password-file", c.passwordFile))}
}

// transport makes a transport to the provider.
func (l login) transport(k *program.Kit) *smtpclient.Transport {
	t := k.Transport("provider")
	t.TLS = smtpclient.TLSPolicy{Level: smtpclient.TLSDomain}
	t.TLSConfig, t.Auth = l.tls, l.auth
	return t
}
