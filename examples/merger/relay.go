package main

import (
	"errors"
	"io"
	"log/slog"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// newRelay assembles the gateway.
func newRelay(s *settings, log *slog.Logger) (*gateway.Gateway, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	list, err := s.domains()
	if err != nil {
		return nil, err
	}
	domains, err := policy.NewDomains(list...)
	if err != nil {
		return nil, err
	}
	table, err := routing.NewTable(
		// Exclusive: mail for the two systems never takes another connector,
		// also while they are down.
		routing.Connector{Name: "ours", Spaces: []string{s.ours}, Exclusive: true, SmartHosts: routing.SmartHosts(s.ourServer)},
		routing.Connector{Name: "theirs", Spaces: []string{s.theirs}, Exclusive: true, SmartHosts: routing.SmartHosts(s.theirServer)},
		routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: s.port},
	)
	if err != nil {
		return nil, err
	}
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	router := &routing.Router{Table: table}
	q := &queue.Queue{
		Store: store, Deliverer: router,
		// The queue's own reports need the routes of the shared domain too: our
		// system does not have their users.
		Hooks: []queue.Hook{domains.Hook()},
	}
	srv := &smtpserver.Server{ContentFile: store.CreateFile}
	gate := &policy.Gate{Domains: list, Networks: s.allow, Queue: q}
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
