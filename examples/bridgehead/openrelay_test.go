package main

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// The gateway relays no mail from strangers to strangers.
func TestNoOpenRelay(t *testing.T) {
	p := program.Program{Name: "bridgehead", New: func() program.Gateway { return new(bridgehead) }}
	relay, err := p.Assemble("-member", "example.com=10.1.0.5", "-partner", "mx.army.mil", "-hostname", "relay.example.com", "-spool", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server), "example.com")
}
