package main

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// No trick makes the provider send a stranger's mail.
func TestNoOpenRelay(t *testing.T) {
	cert, key := certificate(t)
	s := settings{customers: file(t, customers), cert: cert, key: key, keep: time.Hour, hostname: "mail.provider.example", spool: t.TempDir(), port: 25}
	r, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, r.srv), "branch.example", "shop.example", "boat.example")
	if err := errors.Join(r.srv.Shutdown(t.Context()), r.queue.Shutdown(t.Context()), r.router.Close(), r.store.Close()); err != nil {
		t.Error(err)
	}
}
