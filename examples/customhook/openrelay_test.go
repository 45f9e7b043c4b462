package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// No trick makes this gateway send a stranger's mail to strangers.
func TestNoOpenRelay(t *testing.T) {
	yes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"verdict":"accept"}`)) }))
	defer yes.Close()
	s := settings{listen: ":25", domain: "example.com", ask: yes.URL, old: "mail.example.com", new: "new.example.com", percent: 10,
		hostname: "relay.example.com", spool: t.TempDir()}
	r, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, r.srv), "example.com")
	if err := errors.Join(r.srv.Shutdown(t.Context()), r.queue.Shutdown(t.Context()), r.router.Close(), r.store.Close()); err != nil {
		t.Error(err)
	}
}
