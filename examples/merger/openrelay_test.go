package main

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// The gateway relays no mail from strangers to strangers.
func TestNoOpenRelay(t *testing.T) {
	for _, share := range []string{"none", "names", "unresolved"} {
		s := settings{ours: "example.com", ourServer: "10.1.0.5", theirs: "example.org", theirServer: "10.9.0.5",
			recipients: policy.Recipients("alice"), share: share,
			allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.5/32")}, hostname: "relay.example.com", spool: t.TempDir()}
		if share == "names" {
			s.names = policy.Recipients("bob")
		}
		relay, err := newRelay(&s, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		peers.CloseAtEnd(t, relay.Closers...)
		policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server), "example.com", "example.org")
	}
}
