package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
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
	networks, err := s.networks()
	if err := errors.Join(err, s.check()); err != nil {
		return nil, err
	}
	table, err := routing.NewTable(
		routing.Connector{Name: "old", Spaces: []string{s.domain}, SmartHosts: routing.SmartHosts(s.old)},
		// It serves only whom the hook sends to it: its address space is a
		// domain that can never be (RFC 6761, 6.4).
		routing.Connector{Name: "new", Spaces: []string{"new.invalid"}, SmartHosts: routing.SmartHosts(s.new)},
		routing.Connector{Name: "internet", Spaces: []string{"*"}},
	)
	if err != nil {
		return nil, err
	}
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	r := &relay{log: log, store: store}
	r.router = &routing.Router{Table: table, Hostname: s.hostname, Logger: log}
	r.queue = &queue.Queue{
		Store: store, Deliverer: r.router, Hostname: s.hostname, Logger: log,
		Hooks: []queue.Hook{canary(s.domain, s.percent)},
	}
	r.srv = &smtpserver.Server{
		Hostname: s.hostname, Overflow: store.CreateFile, Logger: log,
		// The Gate puts the usual agents around these.
		Agents: []smtpserver.Agent{ask(s.ask, http.DefaultClient), tag},
	}
	// The domain has no Directory here: the service knows its mailboxes.
	gate := &policy.Gate{Domains: []policy.Domain{{Name: s.domain}}, Networks: networks, Queue: r.queue}
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
