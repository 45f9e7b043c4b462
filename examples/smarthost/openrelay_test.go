package main

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// No trick makes this relay send the mail of a machine that -allow does not
// name.
func TestNoOpenRelay(t *testing.T) {
	s := settings{spool: t.TempDir(), upstream: "upstream.example:587", hostname: "relay.example.com", allow: "10.0.0.0/8,127.0.0.1"}
	r, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, r.srv))
	err = errors.Join(r.srv.Shutdown(t.Context()), r.queue.Shutdown(t.Context()), r.router.Close(), r.store.Close())
	for _, c := range r.close {
		err = errors.Join(err, c())
	}
	if err != nil {
		t.Error(err)
	}
}
