package main

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
)

// A quickstart is the whole program. Its fields are the values of the flags.
type quickstart struct {
	listen, mailDir, spoolDir string
	console                   console.Flags
	url                       chan string // the URL of the console, with room for it
	out                       *printer
}

// Run starts the world and the relay. Then it runs the sessions of demo.go or,
// with -listen, waits until ctx ends.
func (q *quickstart) Run(ctx context.Context) (err error) {
	out, spoolDir := q.out, q.spoolDir
	if spoolDir == "" {
		if spoolDir, err = os.MkdirTemp("", "bridgehead-"); err != nil {
			return err
		}
		defer os.RemoveAll(spoolDir)
	}
	w, err := startWorld(q.mailDir, out)
	if err != nil {
		return err
	}
	defer w.stop()
	certificate, err := selfSigned(relayName)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", cmp.Or(q.listen, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	relay, err := newRelay(spoolDir, l, w, certificate)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if web := q.console.Install(relay); web != nil && q.listen == "" {
		web.Print = func(url string) { q.url <- url } // leaveWaiting prints it
	}
	// The demonstration uses the queue before Run begins.
	if err := relay.Validate(); err != nil {
		return errors.Join(err, l.Close())
	}
	delivered, unfollow := follow(relay.Queue, out)
	defer unfollow()

	out.title("Bridgehead quickstart")
	out.note("  the organization   mail.%s, mailboxes alice and bob", organizationDomain)
	out.note("  the internet       mx.%s, found by MX through a DNS server", internetDomain)
	out.note("  the relay          %s at %s, its queue in %s", relayName, l.Addr(), spoolDir)
	if q.listen != "" {
		invite(l.Addr().String(), out)
		defer context.AfterFunc(ctx, func() { out.note("\nStopping: active sessions and attempts may finish.") })()
		return relay.Run(ctx)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	relay.Tasks = append(relay.Tasks, func(ctx context.Context) error {
		if err := demo(ctx, l.Addr().String(), delivered, out); err != nil {
			return err
		}
		if q.console.Address == "" {
			end()
			return nil
		}
		return q.leaveWaiting(ctx, l.Addr().String())
	})
	return relay.Run(ctx)
}

// leaveWaiting sends a message that cannot be delivered, so that the console has
// something to show, and prints how to open the console.
func (q *quickstart) leaveWaiting(ctx context.Context, relay string) error {
	q.out.title("5. Alice sends mail to a server that is down: it waits")
	c := dial(relay, q.out)
	c.say("", "220")
	c.asAlice()
	c.message("alice@"+organizationDomain, "dave@"+downDomain, `From: Alice <alice@example.com>
To: Dave <dave@example.org>
Subject: Friday

Is your server up again?
`)
	if err := c.quit(); err != nil {
		return err
	}
	url := "http://" + q.console.Address + "/ with the token in " + q.console.TokenFile
	if q.console.TokenFile == "" {
		select {
		case url = <-q.url:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	q.out.note("\nThe console shows the relay and this message. Open\n\n  %s\n\nCtrl-C ends it.", url)
	return nil
}

// invite prints how to send with another client.
func invite(address string, out *printer) {
	out.title("The relay listens. From another terminal, with swaks or any other client")
	out.note("  swaks --server %s --from you@%s --to alice@%s", address, internetDomain, organizationDomain)
	out.note("  swaks --server %s --from you@%s --to carol@%[2]s        # refused: 550 5.7.1", address, internetDomain)
	out.note("  swaks --server %s --tls --auth-user %s --auth-password %s --from alice@%s --to carol@%s",
		address, account, accountPassword, organizationDomain, internetDomain)
	out.note("\n  Ctrl-C ends it.")
}
