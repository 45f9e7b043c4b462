package main

import (
	"log/slog"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// The gateway relays no mail from strangers to strangers.
func TestNoOpenRelay(t *testing.T) {
	s := settings{partner: "mx.army.mil", space: "*.mil", hostname: "relay.example.com", spool: t.TempDir()}
	if err := s.addMember("example.com=10.1.0.5"); err != nil {
		t.Fatal(err)
	}
	relay, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	peers.CloseAtEnd(t, relay.Closers...)
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server), "example.com")
}
