package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// The gateway relays no mail from strangers to strangers.
func TestNoOpenRelay(t *testing.T) {
	yes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"verdict":"accept"}`)) }))
	defer yes.Close()
	s := settings{domain: "example.com", ask: yes.URL, old: "mail.example.com", new: "new.example.com", percent: 10,
		hostname: "relay.example.com", spool: t.TempDir()}
	relay, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	peers.CloseAtEnd(t, relay.Closers...)
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server), "example.com")
}
