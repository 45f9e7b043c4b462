package main

import (
	"io"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// The relay sends no mail from strangers to the internet.
func TestNoOpenRelay(t *testing.T) {
	w, err := startWorld("", &printer{w: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	certificate, err := selfSigned(relayName)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := newRelay(t.TempDir(), nil, w, certificate)
	if err != nil {
		t.Fatal(err)
	}
	peers.CloseAtEnd(t, relay.Closers...)
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server), organizationDomain)
}
