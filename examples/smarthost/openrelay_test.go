package main

import (
	"io"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// The relay sends no mail for a machine outside the networks of -allow.
func TestNoOpenRelay(t *testing.T) {
	s := settings{spool: t.TempDir(), upstream: "upstream.example:587", hostname: "relay.example.com",
		allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}}
	relay, err := newRelay(&s, slog.New(slog.DiscardHandler), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	peers.CloseAtEnd(t, relay.Closers...)
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server))
}
