package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// newRelay assembles the relay.
func newRelay(s *settings, log *slog.Logger) (*gateway.Gateway, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	table, err := routing.NewTable(
		routing.Connector{Name: "old", Spaces: []string{s.domain}, Exclusive: true, SmartHosts: routing.SmartHosts(s.old)},
		// It takes only the mail that the canary agent routes to it.
		routing.Connector{Name: "new", RoutedOnly: true, SmartHosts: routing.SmartHosts(s.new)},
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
	q := &queue.Queue{Store: store, Deliverer: router}
	srv := &smtpserver.Server{
		ContentFile: store.CreateFile,
		// The Gate adds its own agents before and after these.
		Agents: []smtpserver.Agent{ask(s.ask, http.DefaultClient), canary(s.domain, s.percent), tag},
	}
	// The domain has no Directory: the service refuses unknown mailboxes.
	gate := &policy.Gate{Domains: []policy.Domain{{Name: s.domain}}, Networks: s.allow, Queue: q}
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
