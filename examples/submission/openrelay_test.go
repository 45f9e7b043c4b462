package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

func assemble(args ...string) (*gateway.Gateway, error) {
	p := program.Program{Name: "submission", New: func() program.Gateway { return new(submission) }}
	return p.Assemble(args...)
}

// Neither listener relays mail for a client that has not logged in, without TLS and with it.
func TestNoOpenRelay(t *testing.T) {
	cert, _, _ := certificate(t)
	relay, err := assemble("-listen", "127.0.0.1:587", "-listen-tls", "127.0.0.1:465", "-accounts", peers.File(t, hash(t, "alice", password)), "-users", peers.File(t, usersFile),
		"-domain", "example.com", "-cert", cert, "-key", cert, "-hostname", "mail.example.com", "-login-delay", "1ms", "-spool", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if len(relay.Listeners) != 2 {
		t.Fatalf("%d listeners", len(relay.Listeners))
	}
	starttls, implicit := relay.Listeners[0].Server, relay.Listeners[1].Server
	policytest.OpenRelay(t, policytest.New(t, starttls), "example.com")
	srv := policytest.New(t, implicit)
	test := &policytest.OpenRelayTest{Hostname: "mail.example.com", Literal: "[192.0.2.25]", Domains: []string{"example.com"}, Dial: func(n int) (net.Conn, error) {
		c, err := srv.Dial(fmt.Sprintf("203.0.113.%d", 1+n%250))
		if err != nil {
			return nil, err
		}
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true}), nil
	}}
	found, err := test.Run()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}
