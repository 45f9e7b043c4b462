package main

import (
	"errors"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// No trick makes this gateway send a stranger's mail to strangers.
func TestNoOpenRelay(t *testing.T) {
	s := settings{listen: ":25", members: []member{{domain: "example.com", client: netip.MustParsePrefix("10.1.0.5/32"), smartHost: "[10.1.0.5]"}}, partner: "mx.army.mil", space: "*.mil", hostname: "relay.example.com", spool: t.TempDir()}
	r, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, r.srv), "example.com")
	if err := errors.Join(r.srv.Shutdown(t.Context()), r.queue.Shutdown(t.Context()), r.router.Close(), r.store.Close()); err != nil {
		t.Error(err)
	}
}
