package main

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// No trick makes this gateway send a stranger's mail to strangers.
func TestNoOpenRelay(t *testing.T) {
	s := settings{inside: "10.1.0.25:25", outside: "192.0.2.25:25", networks: "10.1.0.0/16", domain: "example.com", organisation: "mail.example.com",
		insideDNS: "10.1.0.53", outsideDNS: "192.0.2.53", hostname: "relay.example.com", spool: t.TempDir()}
	r, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, side := range []*smtpserver.Server{r.inside, r.outside} {
		policytest.OpenRelay(t, policytest.New(t, side), "example.com")
	}
	if err := errors.Join(r.inside.Shutdown(t.Context()), r.outside.Shutdown(t.Context()), r.queue.Shutdown(t.Context()), r.router.Close(), r.store.Close()); err != nil {
		t.Error(err)
	}
}
