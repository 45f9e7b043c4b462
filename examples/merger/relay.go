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
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

type relay struct {
	log    *slog.Logger
	store  *spool.Spool
	router *routing.Router
	queue  *queue.Queue
	srv    *smtpserver.Server
}

// newRelay assembles the gateway.
func newRelay(s *settings, log *slog.Logger) (*relay, error) {
	networks, err1 := s.networks()
	domains, hooks, err2 := s.accepted()
	if err := errors.Join(s.check(), err1, err2); err != nil {
		return nil, err
	}
	table, err := routing.NewTable(
		routing.Connector{Name: "ours", Spaces: []string{s.ours}, SmartHosts: routing.SmartHosts(s.ourServer)},
		routing.Connector{Name: "theirs", Spaces: []string{s.theirs}, SmartHosts: routing.SmartHosts(s.theirServer)},
		routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: s.port},
	)
	if err != nil {
		return nil, err
	}
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	r := &relay{log: log, store: store}
	r.router = &routing.Router{Table: table, Hostname: s.hostname, Resolver: s.resolver(), Logger: log}
	r.queue = &queue.Queue{Store: store, Deliverer: r.router, Hostname: s.hostname, Hooks: hooks, Logger: log}
	r.srv = &smtpserver.Server{Hostname: s.hostname, Overflow: store.CreateFile, Logger: log}
	gate := &policy.Gate{Domains: domains, Networks: networks, Queue: r.queue}
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
