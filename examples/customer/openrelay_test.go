package main

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// No trick makes the customer's relay send a stranger's mail, which would go
// out through the provider as the customer's.
func TestNoOpenRelay(t *testing.T) {
	s := good(t)
	r, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, r.srv), "branch.example")
	if err := errors.Join(r.srv.Shutdown(t.Context()), r.queue.Shutdown(t.Context()), r.router.Close(), r.store.Close()); err != nil {
		t.Error(err)
	}
}
