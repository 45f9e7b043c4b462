package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// newRelay assembles the relay of the organization, with its queue in dir. This
// is the main part of the example; everything else is the world around it. Mail
// for the two mailboxes goes to the organization's server. Mail of its users goes
// to the internet by MX.
func newRelay(dir string, l net.Listener, w *world, certificate *tls.Config) (*gateway.Gateway, error) {
	// The store: a message is on disk before the client reads 250.
	store, err := spool.Open(dir, nil)
	if err != nil {
		return nil, err
	}

	// The accepted domain, its recipients, and the server that gets its mail.
	domains := []policy.Domain{{Name: organizationDomain, Directory: policy.Recipients("alice", "bob"), SmartHosts: []string{w.organization.addr.String()}}}

	// The routing: which connector sends the mail for a domain.
	table, err := routing.Site{Accepted: policy.Destinations(domains...)}.NewTable(
		routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: w.internet.port()},
	)
	if err != nil {
		return nil, err
	}
	router := &routing.Router{Table: table}
	q := &queue.Queue{Store: store, Deliverer: router}

	// The policy: all clients may send to alice and bob. Clients that have
	// logged in may send to any domain.
	gate := &policy.Gate{
		Domains:       domains,
		Authenticated: true,
		Queue:         q,
	}

	// The receive connector.
	srv := &smtpserver.Server{
		TLSConfig:   certificate,
		Auth:        smtpserver.PasswordAuth(checkPassword),
		ContentFile: store.CreateFile,
	}
	if err := gate.Install(srv); err != nil {
		return nil, err
	}

	// The gateway runs these parts and shuts them down without loss. Mail that is
	// not delivered stays in dir.
	return &gateway.Gateway{
		Hostname:  relayName,
		Resolver:  &routing.DNSResolver{Servers: []string{w.dns.Addr}},
		Listeners: []*gateway.Listener{{Server: srv, Socket: l}},
		Queue:     q,
		Tracking:  &tracking.Log{Dir: filepath.Join(dir, "tracking")},
		Closers:   []io.Closer{router, store},
	}, nil
}

// checkPassword accepts the one account.
func checkPassword(_ context.Context, _ *smtpserver.Session, user, password string) error {
	if user == account && subtle.ConstantTimeCompare([]byte(password), []byte(accountPassword)) == 1 {
		return nil
	}
	return smtp.ErrAuthFailed
}
