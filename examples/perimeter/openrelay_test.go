package main

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// The gateway relays no mail from strangers to strangers.
func TestNoOpenRelay(t *testing.T) {
	p := program.Program{Name: "perimeter", New: func() program.Gateway { return new(perimeter) }}
	relay, err := p.Assemble("-domains", "example.com,example.org", "-bridgehead", "10.1.0.25", "-hostname", "relay.example.com", "-spool", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server), "example.com", "example.org")
}
