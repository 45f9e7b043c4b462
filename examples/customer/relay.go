package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

type relay struct {
	log     *slog.Logger
	store   *spool.Spool
	router  *routing.Router
	queue   *queue.Queue
	srv     *smtpserver.Server
	fetcher *routing.Fetcher
}

// newRelay assembles the relay.
func newRelay(s *settings, log *slog.Logger) (*relay, error) {
	method, err1 := s.fetchMethod()
	schedule, err2 := routing.ParseSchedule(s.schedule, nil)
	password, err3 := s.password()
	roots, err4 := s.tlsConfig()
	if err := errors.Join(s.check(), err1, err2, err3, err4); err != nil {
		return nil, err
	}
	domains := strings.Split(s.domains, ",")
	provider := routing.SmartHost{Host: s.provider}
	transport := &smtpclient.Transport{
		Name: "provider", Hostname: s.hostname, Logger: log,
		// The provider must be who it says it is: it gets our password, and
		// what it hands us is our mail.
		TLS: smtpclient.TLSPolicy{Level: smtpclient.TLSDomain}, TLSConfig: roots,
		Auth: smtpclient.PasswordAuth(s.user, password),
	}
	table, err := routing.NewTable(
		routing.Connector{Name: "mail server", Spaces: domains, SmartHosts: routing.SmartHosts(bracketed(s.server))},
		// Our own reports alone: while our mail server is down, mail for it
		// would go this way too, back to where it came from.
		routing.Connector{Name: "provider", Spaces: []string{"*"}, SmartHosts: []routing.SmartHost{provider},
			Transport: routing.SMTP(transport), System: routing.SystemOnly},
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
	r.queue = &queue.Queue{Store: store, Deliverer: r.router, Hostname: s.hostname, Logger: log,
		// The provider lets us write under our domains, and no other name.
		Reports: queue.Reports{From: "postmaster@" + domains[0]}}
	r.srv = &smtpserver.Server{Hostname: s.hostname, Overflow: store.CreateFile, Logger: log,
		// All mail comes from one client, all at once.
		Limits: smtpserver.Limits{MessageRate: -1}}
	gate := &policy.Gate{Queue: r.queue}
	for _, d := range domains {
		gate.Domains = append(gate.Domains, policy.Domain{Name: d, Kind: policy.ExternalRelay})
	}
	if err := gate.Install(r.srv); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	r.fetcher = &routing.Fetcher{
		Transport: transport, Provider: provider, Resolver: s.resolver(), Method: method, Domains: domains,
		Interval: s.every, Schedule: schedule, Logger: log,
		Serve: r.srv.Serve, // the same judgement and queue for a connection that has turned round
	}
	return r, nil
}

// run serves and asks until ctx ends, and then takes up to half a minute to
// finish what is in hand. l may be nil.
func (r *relay) run(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 2)
	var running sync.WaitGroup
	running.Go(func() { ended <- r.queue.Run(context.Background()) })
	if l != nil {
		running.Go(func() { ended <- r.srv.Serve(l) })
		r.log.Info("listening", "address", l.Addr().String())
	}
	running.Go(func() { r.fetcher.Run(ctx) })
	var err error
	select {
	case <-ctx.Done():
		r.log.Info("stopping")
	case err = <-ended: // unasked
		cancel()
	}
	stop, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	err = errors.Join(err, r.srv.Shutdown(stop), r.queue.Shutdown(stop))
	running.Wait()
	return errors.Join(err, r.router.Close(), r.store.Close())
}
