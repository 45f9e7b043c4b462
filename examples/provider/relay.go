package main

import (
	"crypto/tls"
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

// newRelay assembles the relay.
func newRelay(s *settings, log *slog.Logger) (*gateway.Gateway, error) {
	customers, err1 := s.readCustomers()
	cert, err2 := s.certificate()
	if err := errors.Join(s.check(), err1, err2); err != nil {
		return nil, err
	}
	connectors := []routing.Connector{{Name: "internet", Spaces: []string{"*"}, Port: s.port}}
	gate := &policy.Gate{
		// Only customers have accounts. They may send to any domain, from
		// addresses in their own domains.
		Authenticated: true,
		SendAs:        &policy.SendAs{Owns: policy.SendersOf(senders(customers))},
	}
	for _, c := range customers {
		connectors = append(connectors, routing.Connector{
			Name: c.account, Spaces: c.domains, SmartHosts: c.hosts, Port: c.port,
			Hold: true, HoldAccounts: []string{c.account}, // no other account may request it
			Exclusive: true, // no other connector, also while the host is down
			Expire:    s.keep,
		})
		for _, d := range c.domains {
			gate.Domains = append(gate.Domains, policy.Domain{Name: d, Kind: policy.ExternalRelay})
		}
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
	router.Wake = routing.WakeQueue(q) // ETRN and ATRN start delivery at once
	srv := &smtpserver.Server{
		ContentFile: store.CreateFile,
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{cert}},
		Auth:        smtpserver.PasswordAuth(passwords(customers)),
		Agents:      []smtpserver.Agent{policy.HeldMail(router)},
	}
	gate.Queue = q
	if err := gate.Install(srv); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	relay := &gateway.Gateway{
		Hostname:  s.hostname,
		Logger:    log,
		Resolver:  s.resolver(),
		Listeners: []*gateway.Listener{{Server: srv, Address: s.listen}},
		Queue:     q,
		Closers:   []io.Closer{router, store},
	}
	s.console.Install(relay)
	return relay, nil
}
