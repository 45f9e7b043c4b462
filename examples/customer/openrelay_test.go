package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/routing"
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

// While the mail server is down its mail waits here. Sent to the provider it
// would come back with the next fetch, and again, until it had too many hops.
func TestNoWayBackToTheProvider(t *testing.T) {
	s := good(t)
	r, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to     string
		system bool
		want   string // connectors
	}{
		{"alice@branch.example", false, "mail server"},
		{"carol@example.net", true, "provider"},
		{"carol@example.net", false, ""},
	} {
		var fit []string
		for _, k := range r.router.Explain(t.Context(), routing.Question{To: c.to, System: c.system}).Candidates {
			if k.Space != "" && k.Loss == routing.Eligible {
				fit = append(fit, k.Connector)
			}
		}
		if got := strings.Join(fit, ","); got != c.want {
			t.Errorf("%s (a report: %v) could go by way of %q, want %q", c.to, c.system, got, c.want)
		}
	}
	if err := errors.Join(r.router.Close(), r.store.Close()); err != nil {
		t.Error(err)
	}
}
