package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

type relay struct {
	log    *slog.Logger
	store  *spool.Spool
	router *routing.Router
	queue  *queue.Queue
	srv    *smtpserver.Server
}

// newRelay assembles the relay.
func newRelay(s *settings, log *slog.Logger) (*relay, error) {
	customers, err1 := s.readCustomers()
	cert, err2 := s.certificate()
	if err := errors.Join(s.check(), err1, err2); err != nil {
		return nil, err
	}
	connectors := []routing.Connector{{Name: "internet", Spaces: []string{"*"}, Port: s.port}}
	gate := &policy.Gate{
		// Only customers have accounts, and they send through us under their
		// own domains.
		Authenticated: true,
		SendAs:        &policy.SendAs{Owns: policy.SendersOf(senders(customers))},
	}
	for _, c := range customers {
		connectors = append(connectors, routing.Connector{
			Name: c.account, Spaces: c.domains, SmartHosts: c.hosts, Port: c.port,
			Hold: true, HoldAccounts: []string{c.account}, // nobody else may ask
			Expire: s.keep,
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
	r := &relay{log: log, store: store}
	r.router = &routing.Router{Table: table, Hostname: s.hostname, Resolver: s.resolver(), Logger: log}
	r.queue = &queue.Queue{Store: store, Deliverer: r.router, Hostname: s.hostname, Logger: log}
	r.router.Wake = routing.WakeQueue(r.queue) // who asks need not wait until the queue looks
	r.srv = &smtpserver.Server{
		Hostname: s.hostname, Overflow: store.CreateFile, Logger: log,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Auth:      smtpserver.PasswordAuth(passwords(customers)),
		Agents:    []smtpserver.Agent{policy.HeldMail(r.router)},
	}
	gate.Queue = r.queue
	if err := gate.Install(r.srv); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return r, nil
}

// run serves until ctx ends, and then takes up to half a minute to finish what
// is in hand.
func (r *relay) run(ctx context.Context, l net.Listener) error {
	ended := make(chan error, 2)
	go func() { ended <- r.queue.Run(context.Background()) }()
	go func() { ended <- r.srv.Serve(l) }()
	r.log.Info("listening", "address", l.Addr().String())
	var err error
	select {
	case <-ctx.Done():
		r.log.Info("stopping")
	case err = <-ended: // unasked
		ended <- nil
	}
	stop, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = errors.Join(err, r.srv.Shutdown(stop), r.queue.Shutdown(stop))
	<-ended
	<-ended
	return errors.Join(err, r.router.Close(), r.store.Close())
}
