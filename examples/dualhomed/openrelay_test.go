package main

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

func assemble(args ...string) (*gateway.Gateway, error) {
	p := program.Program{Name: "dualhomed", New: func() program.Gateway { return new(dualhomed) }}
	return p.Assemble(args...)
}

// Neither side relays mail from strangers to strangers.
func TestNoOpenRelay(t *testing.T) {
	relay, err := assemble("-inside", "10.1.0.25:25", "-outside", "192.0.2.25:25", "-networks", "10.1.0.0/16", "-domain", "example.com",
		"-organization", "mail.example.com", "-hostname", "relay.example.com", "-spool", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, side := range relay.Listeners {
		policytest.OpenRelay(t, policytest.New(t, side.Server), "example.com")
	}
}
