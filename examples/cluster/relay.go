package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/postgres"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// newNode assembles a node. It waits until the database can be reached.
func newNode(s *settings, log *slog.Logger) (*gateway.Gateway, error) {
	return newRelay(s, log, openDatabase)
}

// A store is the queue of a relay.
type store interface {
	queue.Store
	io.Closer
}

// openDatabase opens the queue in the database.
func openDatabase(s *settings, log *slog.Logger) (store, error) {
	return postgres.Open(context.Background(), s.database, &postgres.Options{
		Node: s.node, PasswordFile: s.passwordFile, Pooler: s.pooler,
		Beat: s.beat, DeadAfter: s.deadAfter,
		// At the next start, the node knows which messages were in delivery when it died.
		Journal: filepath.Join(s.state, "deliveries"),
		Logger:  log,
	})
}

// newRelay assembles a relay with the queue that open opens. When it calls open, all
// settings but those of the database are known to be right.
func newRelay(s *settings, log *slog.Logger, open func(*settings, *slog.Logger) (store, error)) (*gateway.Gateway, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	connectors := []routing.Connector{{Name: "internet", Spaces: []string{"*"}}}
	if s.upstream != "" {
		connectors[0].SmartHosts = routing.SmartHosts(s.upstream)
	}
	// Mail from our own domains comes only from our networks.
	gate := &policy.Gate{Networks: s.allow, Spoofing: &policy.Spoofing{}}
	for _, d := range s.domains {
		// Exclusive: the mail never takes another connector, also while the server is down.
		connectors = append(connectors, routing.Connector{
			Name: d.name, Spaces: []string{d.name}, Exclusive: true, SmartHosts: []routing.SmartHost{d.server},
		})
		gate.Domains = append(gate.Domains, policy.Domain{Name: d.name})
	}
	table, err := routing.NewTable(connectors...)
	if err != nil {
		return nil, err
	}
	config, err := s.tls.config()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.state, 0o700); err != nil {
		return nil, err
	}
	// The client reads 250 only after the message is committed in the database.
	store, err := open(s, log)
	if err != nil {
		return nil, err
	}
	logs := filepath.Join(s.state, "logs")
	received := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: logs})
	sent := smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{Dir: logs})
	router := &routing.Router{Table: table, NewTransport: func(connector string) *smtpclient.Transport {
		return &smtpclient.Transport{Name: connector, ProtocolLog: sent}
	}}
	q := &queue.Queue{Store: store, Deliverer: router}
	gate.Queue = q
	if s.hourly > 0 {
		gate.Rates = &policy.Rates{Rates: []policy.Rate{{By: policy.ByAddress, Messages: s.hourly}}}
		gate.Rates.Shared, _ = store.(queue.CountSharer) // the nodes count together
	}
	srv := &smtpserver.Server{Name: "mx", TLSConfig: config, ProtocolLog: received}
	if err := gate.Install(srv); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	relay := &gateway.Gateway{
		Hostname:  s.hostname,
		Logger:    log,
		Listeners: []*gateway.Listener{{Server: srv, Address: s.listen}},
		Queue:     q,
		Tracking:  &tracking.Log{Dir: logs},
		Closers:   []io.Closer{router, store, received, sent},
	}
	s.console.Install(relay)
	return relay, nil
}
