package main

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// No trick makes this gateway send a stranger's mail to strangers.
func TestNoOpenRelay(t *testing.T) {
	s := settings{listen: ":25", domains: "example.com,example.org", bridgehead: "10.1.0.25", hostname: "relay.example.com", spool: t.TempDir()}
	r, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, r.srv), "example.com", "example.org")
	if err := errors.Join(r.srv.Shutdown(t.Context()), r.queue.Shutdown(t.Context()), r.router.Close(), r.store.Close()); err != nil {
		t.Error(err)
	}
}
