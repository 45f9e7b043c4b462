package main

import (
	"errors"
	"io"
	"log/slog"
	"net/netip"

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
		// Exclusive: while the bridgehead is down, its mail waits here. By MX it
		// would come back to us, or go to a backup host outside.
		routing.Connector{Name: "organization", Spaces: s.domains, Exclusive: true, SmartHosts: []routing.SmartHost{s.bridgehead}},
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
	srv := &smtpserver.Server{ContentFile: store.CreateFile}
	bridgehead, _ := s.bridgehead.Addr()
	gate := &policy.Gate{
		Networks: []netip.Prefix{netip.PrefixFrom(bridgehead, bridgehead.BitLen())}, // the only client that may relay
		Spoofing: &policy.Spoofing{},                                                // mail of our own users comes only from the bridgehead
		// When disk space runs short or the queue is long, mail from outside is
		// deferred first. The organization's own mail is still accepted.
		Pressure: &policy.Pressure{Resources: []policy.Resource{policy.DiskUse(s.spool), policy.QueueLength(store)}},
		Queue:    q,
	}
	for _, name := range s.domains {
		gate.Domains = append(gate.Domains, policy.Domain{Name: name, Directory: s.recipients})
	}
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
