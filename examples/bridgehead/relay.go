package main

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// newRelay assembles the relay.
func newRelay(s *settings, log *slog.Logger) (*gateway.Gateway, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	connectors := []routing.Connector{
		{Name: "internet", Spaces: []string{"*"}, Port: s.port},
		{
			// Exclusive: the partner's mail never takes another connector, also
			// while its host is down.
			Name: "partner", Spaces: []string{s.space}, Exclusive: true, SmartHosts: routing.SmartHosts(s.partner),
			// The certificate must be for the host's own name.
			TLS:       &smtpclient.TLSPolicy{Level: smtpclient.TLSDomain},
			Transport: routing.SMTP(&smtpclient.Transport{TLSConfig: &tls.Config{RootCAs: s.roots}, Logger: log}),
		},
	}
	gate := &policy.Gate{Spoofing: &policy.Spoofing{}} // mail of our own users comes only from the members
	for _, m := range s.members {
		connectors = append(connectors, routing.Connector{
			Name: m.domain, Spaces: []string{m.domain}, Exclusive: true, SmartHosts: []routing.SmartHost{m.server},
		})
		gate.Domains = append(gate.Domains, policy.Domain{Name: m.domain})
		client, _ := m.server.Addr()
		gate.Networks = append(gate.Networks, netip.PrefixFrom(client, client.BitLen()))
	}
	table, err := routing.NewTable(connectors...)
	if err != nil {
		return nil, err
	}
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	router := &routing.Router{Table: table}
	q := &queue.Queue{Store: store, Deliverer: router}
	srv := &smtpserver.Server{ContentFile: store.CreateFile}
	gate.Queue = q
	if err := gate.Install(srv); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	relay := &gateway.Gateway{
		Hostname:  s.hostname,
		Logger:    log,
		Resolver:  &s.dns,
		Listeners: []*gateway.Listener{{Server: srv, Address: s.listen}},
		Queue:     q,
		Closers:   []io.Closer{router, store},
	}
	s.console.Install(relay)
	return relay, nil
}
