package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A relay is what this example is about: everything else is the world around
// it.
type relay struct {
	store  *spool.Spool
	router *routing.Router
	queue  *queue.Queue
	srv    *smtpserver.Server

	running sync.WaitGroup
}

// newRelay assembles a relay for the organisation, with its queue in dir:
// mail for the two mailboxes goes to the organisation's server, and its users'
// mail to the world by MX.
func newRelay(dir string, w *world, certificate *tls.Config) (*relay, error) {
	// Where mail is safe before the client reads 250.
	store, err := spool.Open(dir, nil)
	if err != nil {
		return nil, err
	}

	// Which way it goes.
	table, err := routing.NewTable(
		routing.Connector{Name: "organisation", Spaces: []string{organisationDomain},
			SmartHosts: routing.SmartHosts(w.organisation.literal())},
		routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: w.internet.port()},
	)
	if err != nil {
		return nil, err
	}
	router := &routing.Router{Table: table, Hostname: relayName, Resolver: &routing.DNSResolver{Servers: []string{w.dns.Addr}}}
	q := &queue.Queue{Store: store, Deliverer: router, Hostname: relayName}

	// Who may send what: everybody to alice and bob, who has logged in to
	// everybody.
	gate := &policy.Gate{
		Domains:       []policy.Domain{{Name: organisationDomain, Directory: policy.Recipients("alice", "bob")}},
		Authenticated: true,
		Queue:         q,
	}

	// What listens.
	srv := &smtpserver.Server{
		Hostname:  relayName,
		TLSConfig: certificate,
		Auth:      smtpserver.PasswordAuth(checkPassword),
		Overflow:  store.CreateFile,
	}
	if err := gate.Install(srv); err != nil {
		return nil, err
	}
	return &relay{store: store, router: router, queue: q, srv: srv}, nil
}

func checkPassword(_ context.Context, _ *smtpserver.Session, user, password string) error {
	if user == account && subtle.ConstantTimeCompare([]byte(password), []byte(accountPassword)) == 1 {
		return nil
	}
	return smtp.ErrAuthFailed
}

// serve listens and delivers until stop is called.
func (r *relay) serve(l net.Listener) {
	r.running.Go(func() { r.queue.Run(context.Background()) })
	r.running.Go(func() { r.srv.Serve(l) })
}

// stop finishes what is in hand; what is not delivered then stays in the
// spool.
func (r *relay) stop(ctx context.Context) error {
	err := errors.Join(r.srv.Shutdown(ctx), r.queue.Shutdown(ctx))
	r.running.Wait()
	return errors.Join(err, r.router.Close(), r.store.Close())
}
