package main

import (
	"io"
	"net/netip"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// No trick makes this relay send the mail of a machine that -allow does not
// name.
func TestNoOpenRelay(t *testing.T) {
	s := settings{spool: t.TempDir(), upstream: "upstream.example:587", hostname: "relay.example.com",
		allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}}
	relay, err := newRelay(&s, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server))
	for _, c := range relay.Closers {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
