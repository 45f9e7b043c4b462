package main

import (
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// newRelay assembles the relay.
func newRelay(s *settings, log *slog.Logger) (*gateway.Gateway, error) {
	switch {
	case len(s.allow) == 0:
		return nil, errors.New("-allow: is required")
	case s.spool == "":
		return nil, errors.New("-spool: is required")
	}
	world := routing.Connector{Name: "world", Spaces: []string{"*"}}
	if s.smartHost != "" {
		world.SmartHosts = routing.SmartHosts(s.smartHost)
	} else {
		world.Port = s.port
	}
	connectors, err := routing.NewTable(world)
	if err != nil {
		return nil, err
	}
	results, err := openTable(s.database)
	if err != nil {
		return nil, err
	}
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, errors.Join(err, results.Close())
	}
	resolver := &routing.DNSResolver{Servers: strings.FieldsFunc(s.dns, func(r rune) bool { return r == ',' })}
	router := &routing.Router{Table: connectors, Resolver: resolver}
	q := &queue.Queue{Store: store, Deliverer: router, FinalResults: results.record}
	srv := &smtpserver.Server{ContentFile: store.CreateFile}
	if err := (&policy.Gate{Networks: s.allow, Queue: q}).Install(srv); err != nil {
		return nil, errors.Join(err, store.Close(), results.Close())
	}
	relay := &gateway.Gateway{
		Hostname:  s.hostname,
		Listeners: []*gateway.Listener{{Server: srv, Address: s.listen}},
		Queue:     q,
		Closers:   []io.Closer{router, store, results},
		Logger:    log,
	}
	s.console.Install(relay)
	return relay, nil
}
