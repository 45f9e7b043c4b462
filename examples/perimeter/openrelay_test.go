package main

import (
	"log/slog"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// The gateway relays no mail from strangers to strangers.
func TestNoOpenRelay(t *testing.T) {
	s := settings{domains: []string{"example.com", "example.org"}, bridgehead: routing.SmartHost{Host: "10.1.0.25"}, hostname: "relay.example.com", spool: t.TempDir()}
	relay, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	peers.CloseAtEnd(t, relay.Closers...)
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server), s.domains...)
}
