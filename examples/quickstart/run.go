package main

import (
	"context"
	"errors"
	"net"
	"os"
)

// run is the whole program: the world, the relay, and either the sessions of
// demo.go or a wait for the reader's own.
func run(ctx context.Context, listen, mailDir, spoolDir string, out *printer) (err error) {
	if spoolDir == "" {
		if spoolDir, err = os.MkdirTemp("", "bridgehead-"); err != nil {
			return err
		}
		defer os.RemoveAll(spoolDir)
	}
	w, err := startWorld(mailDir, out)
	if err != nil {
		return err
	}
	defer w.stop()
	certificate, err := selfSigned(relayName)
	if err != nil {
		return err
	}
	address := listen
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	relay, err := newRelay(spoolDir, l, w, certificate)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	delivered, unfollow := follow(relay.Queue, out)
	defer unfollow()

	out.title("Bridgehead quickstart")
	out.note("  the organization   mail.%s, mailboxes alice and bob", organizationDomain)
	out.note("  the internet       mx.%s, found by MX through a DNS server", internetDomain)
	out.note("  the relay          %s at %s, its queue in %s", relayName, l.Addr(), spoolDir)
	if listen != "" {
		invite(l.Addr().String(), out)
		defer context.AfterFunc(ctx, func() { out.note("\nStopping: what is in hand is finished first.") })()
		return relay.Run(ctx)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	relay.Tasks = append(relay.Tasks, func(ctx context.Context) error {
		err := demo(ctx, l.Addr().String(), delivered, out)
		if err == nil {
			end()
		}
		return err
	})
	return relay.Run(ctx)
}

// invite tells how to send with a client of one's own.
func invite(address string, out *printer) {
	out.title("It listens. From another terminal, with swaks or any other client")
	out.note("  swaks --server %s --from you@%s --to alice@%s", address, internetDomain, organizationDomain)
	out.note("  swaks --server %s --from you@%s --to carol@%[2]s        # a stranger's: 550 5.7.1", address, internetDomain)
	out.note("  swaks --server %s --tls --auth-user %s --auth-password %s --from alice@%s --to carol@%s",
		address, account, accountPassword, organizationDomain, internetDomain)
	out.note("\n  Ctrl-C ends it.")
}
