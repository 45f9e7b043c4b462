package main

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// The relay sends no mail for a machine outside the networks of -allow.
func TestNoOpenRelay(t *testing.T) {
	p := program.Program{Name: "smarthost", New: func() program.Gateway { return new(smarthost) }}
	relay, err := p.Assemble("-spool", t.TempDir(), "-upstream", "upstream.example:587", "-hostname", "relay.example.com", "-allow", "10.0.0.0/8,127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server))
}
