package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"

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
		Name: "provider",
		// The provider gets our password and sends our mail. So its
		// certificate must be valid for its name.
		TLS: smtpclient.TLSPolicy{Level: smtpclient.TLSDomain}, TLSConfig: roots,
		Auth: smtpclient.PasswordAuth(s.user, password),
	}
	table, err := routing.NewTable(
		// Exclusive: while our mail server is down, its mail waits here. The
		// provider would return it with the next fetch.
		routing.Connector{Name: "mail server", Spaces: domains, SmartHosts: routing.SmartHosts(s.server), Exclusive: true},
		// Only for our own reports: we relay no other mail to the internet.
		routing.Connector{Name: "provider", Spaces: []string{"*"}, SmartHosts: []routing.SmartHost{provider},
			Transport: routing.SMTP(transport), SystemMessages: routing.SystemOnly},
	)
	if err != nil {
		return nil, err
	}
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	router := &routing.Router{Table: table}
	q := &queue.Queue{Store: store, Deliverer: router,
		// The provider accepts only senders in our domains.
		Reports: queue.Reports{From: "postmaster@" + domains[0]}}
	srv := &smtpserver.Server{ContentFile: store.CreateFile,
		// All mail comes from one client, in a burst.
		Limits: smtpserver.Limits{MessageRate: -1}}
	gate := &policy.Gate{Queue: q}
	for _, d := range domains {
		gate.Domains = append(gate.Domains, policy.Domain{Name: d, Kind: policy.ExternalRelay})
	}
	if err := gate.Install(srv); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	fetcher := &routing.Fetcher{
		Transport: transport, Provider: provider, Method: method, Domains: domains,
		Interval: s.every, Schedule: schedule,
		Serve:    srv.Serve, // the connection after ATRN has the same policy and queue
		Received: func() int64 { return srv.Counters().Messages },
	}
	relay := &gateway.Gateway{
		Hostname: s.hostname,
		Logger:   log,
		Resolver: s.resolver(),
		Queue:    q,
		Parts:    []gateway.Inheritor{fetcher},
		Tasks:    []func(context.Context) error{func(ctx context.Context) error { fetcher.Run(ctx); return nil }},
		Servers:  []*smtpserver.Server{srv}, // with ATRN it has no listener
		Closers:  []io.Closer{router, store},
	}
	if s.listen != "" {
		relay.Listeners = []*gateway.Listener{{Server: srv, Address: s.listen}}
	}
	s.console.Install(relay)
	return relay, nil
}
