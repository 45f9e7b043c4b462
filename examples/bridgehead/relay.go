package main

import (
	"crypto/tls"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Build implements program.Gateway.
func (b *bridgehead) Build(k *program.Kit) program.Rules {
	members := b.check(k)
	connectors := []routing.Connector{
		{Name: "internet", Spaces: []string{"*"}, Port: b.port},
		b.toPartner(k),
	}
	gate := &policy.Gate{Spoofing: &policy.Spoofing{}} // mail of our own users comes only from the members
	for _, m := range members {
		connectors = append(connectors, routing.Connector{
			Name: m.domain, Spaces: []string{m.domain}, Exclusive: true, SmartHosts: []routing.SmartHost{m.server},
		})
		gate.Domains = append(gate.Domains, policy.Domain{Name: m.domain})
		client, _ := m.server.Addr()
		gate.Networks = append(gate.Networks, netip.PrefixFrom(client, client.BitLen()))
	}
	srv := k.Server("bridgehead")
	k.Install("member", gate, srv)
	return program.Rules{
		Receive: []program.Receive{{Server: srv, Address: b.listen}},
		Table:   k.Table(gate.Domains, k.Listen("listen", b.listen), connectors...),
		Domains: gate.Domains,
	}
}

// toPartner is the connector for the partner's mail.
func (b *bridgehead) toPartner(k *program.Kit) routing.Connector {
	t := k.Transport("partner")
	t.TLSConfig = &tls.Config{RootCAs: k.Roots("partner-roots", b.roots)}
	// The certificate must be for the host's own name. The account is in addition
	// to that.
	t.TLS = smtpclient.TLSPolicy{Level: smtpclient.TLSDomain}
	if b.user != "" {
		t.Auth = smtpclient.PasswordAuth(b.user, k.Secret("partner-password-file", b.passwordFile))
	}
	return routing.Connector{
		// Exclusive: the partner's mail never takes another connector, also
		// while its host is down.
		Name: "partner", Spaces: []string{b.space}, Exclusive: true, SmartHosts: routing.SmartHosts(b.partner),
		Transport: routing.SMTP(t), Priorities: b.accepted(k), HeaderPriority: b.headerPriority,
	}
}
