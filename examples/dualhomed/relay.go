package main

import (
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

// newRelay assembles the gateway.
func newRelay(s *settings, log *slog.Logger) (*gateway.Gateway, error) {
	source, networks, err := s.check()
	if err != nil {
		return nil, err
	}
	table, err := routing.NewTable(
		routing.Connector{
			Name: "organization", Spaces: []string{s.domain}, SmartHosts: routing.SmartHosts(s.organization),
			Resolver:  resolver(s.insideDNS),
			Exclusive: true, // while its server is down, the mail waits
		},
		routing.Connector{
			Name: "internet", Spaces: []string{"*"},
			Resolver: resolver(s.outsideDNS),
			// Only mail from the inside and the queue's own reports may take
			// this connector. This holds even if the policy of "outside" is
			// weakened by mistake.
			Scope:     routing.Scope{ReceiveConnectors: []string{"inside", "dsn"}},
			Transport: routing.SMTP(&smtpclient.Transport{Name: "internet", LocalAddrs: []netip.Addr{source}, Logger: log}),
		},
	)
	if err != nil {
		return nil, err
	}
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	router := &routing.Router{Table: table}
	q := &queue.Queue{Store: store, Deliverer: router}
	inside := &smtpserver.Server{Name: "inside", ContentFile: store.CreateFile}
	outside := &smtpserver.Server{Name: "outside", ContentFile: store.CreateFile}

	domains := []policy.Domain{{Name: s.domain}}
	insideGate := &policy.Gate{Domains: domains, Networks: networks, Queue: q}
	// A client outside cannot use a sender in the organization's domain.
	outsideGate := &policy.Gate{Domains: domains, Spoofing: &policy.Spoofing{}, Queue: q}
	if err := errors.Join(insideGate.Install(inside), outsideGate.Install(outside)); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	relay := &gateway.Gateway{
		Hostname:  s.hostname,
		Logger:    log,
		Listeners: []*gateway.Listener{{Server: inside, Address: s.inside}, {Server: outside, Address: s.outside}},
		Queue:     q,
		Closers:   []io.Closer{router, store},
	}
	s.console.Install(relay)
	return relay, nil
}
