package main

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// The gateway relays no mail from strangers to strangers.
func TestNoOpenRelay(t *testing.T) {
	p := program.Program{Name: "merger", New: func() program.Gateway { return new(merger) }}
	for _, share := range []string{"none", "names", "unresolved"} {
		args := []string{"-ours", "example.com", "-our-server", "10.1.0.5", "-theirs", "example.org", "-their-server", "10.9.0.5",
			"-recipients", peers.File(t, "alice\n"), "-share", share, "-allow", "10.1.0.5", "-hostname", "relay.example.com", "-spool", t.TempDir()}
		if share == "names" {
			args = append(args, "-names", peers.File(t, "bob\n"))
		}
		relay, err := p.Assemble(args...)
		if err != nil {
			t.Fatal(err)
		}
		policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server), "example.com", "example.org")
	}
}
