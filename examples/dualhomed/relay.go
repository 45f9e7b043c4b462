package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

type relay struct {
	log             *slog.Logger
	store           *spool.Spool
	router          *routing.Router
	queue           *queue.Queue
	inside, outside *smtpserver.Server
}

// newRelay assembles the gateway.
func newRelay(s *settings, log *slog.Logger) (*relay, error) {
	outside, networks, err := s.check()
	if err != nil {
		return nil, err
	}
	table, err := routing.NewTable(
		routing.Connector{
			Name: "organisation", Spaces: []string{s.domain}, SmartHosts: routing.SmartHosts(s.organisation),
			Resolver: resolver(s.insideDNS),
		},
		routing.Connector{
			Name: "internet", Spaces: []string{"*"},
			Resolver: resolver(s.outsideDNS),
			// It is homed on the inside: only mail from there, and the queue's
			// own reports about mail from outside, may take this way, even if
			// somebody should weaken the policy of the other one.
			Scope: routing.Scope{Receivers: []string{"inside", "dsn"}},
			Transport: routing.SMTP(&smtpclient.Transport{
				Name: "internet", Hostname: s.hostname, LocalAddrs: []netip.Addr{outside}, Logger: log,
			}),
		},
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
	r.queue = &queue.Queue{Store: store, Deliverer: r.router, Hostname: s.hostname, Logger: log}
	r.inside = &smtpserver.Server{Name: "inside", Hostname: s.hostname, Overflow: store.CreateFile, Logger: log}
	r.outside = &smtpserver.Server{Name: "outside", Hostname: s.hostname, Overflow: store.CreateFile, Logger: log}

	domains := []policy.Domain{{Name: s.domain}}
	toAll := &policy.Gate{Domains: domains, Networks: networks, Queue: r.queue}
	// Nobody out there writes in the organisation's name.
	toUs := &policy.Gate{Domains: domains, Spoofing: &policy.Spoofing{}, Queue: r.queue}
	if err := errors.Join(toAll.Install(r.inside), toUs.Install(r.outside)); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return r, nil
}

// run serves until ctx ends, and then takes up to half a minute to finish what
// is in hand.
func (r *relay) run(ctx context.Context, inside, outside net.Listener) error {
	ended := make(chan error, 3)
	go func() { ended <- r.queue.Run(context.Background()) }()
	go func() { ended <- r.inside.Serve(inside) }()
	go func() { ended <- r.outside.Serve(outside) }()
	r.log.Info("listening", "connector", "inside", "address", inside.Addr().String())
	r.log.Info("listening", "connector", "outside", "address", outside.Addr().String())
	var err error
	select {
	case <-ctx.Done():
		r.log.Info("stopping")
	case err = <-ended: // unasked
		ended <- nil
	}
	stop, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	late := errors.Join(r.inside.Shutdown(stop), r.outside.Shutdown(stop), r.queue.Shutdown(stop))
	if errors.Is(late, context.DeadlineExceeded) {
		r.log.Warn("stopped before all was finished: the rest stays in the spool", "error", late)
		late = nil
	}
	err = errors.Join(err, late)
	for range 3 {
		<-ended
	}
	return errors.Join(err, r.router.Close(), r.store.Close())
}
