package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
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
	roots, err := s.tlsConfig()
	if err := errors.Join(s.check(), err); err != nil {
		return nil, err
	}
	// The certificate must be for the host's own name.
	validated := smtpclient.TLSPolicy{Level: smtpclient.TLSDomain}
	connectors := []routing.Connector{
		{
			Name: "partner", Spaces: []string{s.space}, SmartHosts: routing.SmartHosts(s.partner), TLS: &validated,
			Transport: routing.SMTP(&smtpclient.Transport{Name: "partner", Hostname: s.hostname, TLSConfig: roots, Logger: log}),
		},
		{
			Name: "internet", Spaces: []string{"*"}, Port: s.port,
			// "*" holds the partner's domains too: when the partner's host is
			// down the mail may go to their MX, but as safely.
			DomainTLS: map[string]smtpclient.TLSPolicy{s.space: validated},
		},
	}
	gate := &policy.Gate{Spoofing: &policy.Spoofing{}} // our people's mail comes from the members
	for _, m := range s.members {
		connectors = append(connectors, routing.Connector{Name: m.domain, Spaces: []string{m.domain}, SmartHosts: routing.SmartHosts(m.smartHost)})
		gate.Domains = append(gate.Domains, policy.Domain{Name: m.domain})
		gate.Networks = append(gate.Networks, m.client)
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
	r.srv = &smtpserver.Server{Hostname: s.hostname, Overflow: store.CreateFile, Logger: log}
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
	late := errors.Join(r.srv.Shutdown(stop), r.queue.Shutdown(stop))
	if errors.Is(late, context.DeadlineExceeded) {
		r.log.Warn("stopped before all was finished: the rest stays in the spool", "error", late)
		late = nil
	}
	err = errors.Join(err, late)
	<-ended
	<-ended
	return errors.Join(err, r.router.Close(), r.store.Close())
}
