package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// newGateway returns a gateway that does not run.
func newGateway(t *testing.T) *gateway.Gateway {
	s := settings{inside: "10.1.0.25:25", outside: "192.0.2.25:25", networks: "10.1.0.0/16", domain: "example.com", organization: "mail.example.com",
		insideDNS: "10.1.0.53", outsideDNS: "192.0.2.53", hostname: "relay.example.com", spool: t.TempDir()}
	g, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	peers.CloseAtEnd(t, g.Closers...)
	return g
}

// The gateway relays no mail from strangers to strangers.
func TestNoOpenRelay(t *testing.T) {
	for _, side := range newGateway(t).Listeners {
		policytest.OpenRelay(t, policytest.New(t, side.Server), "example.com")
	}
}

// Mail for the organization has one connector. Mail from outside has none that
// leads back to the internet.
func TestConnectorsOfRecipients(t *testing.T) {
	g := newGateway(t)
	for _, c := range []struct{ origin, to, want string }{
		{"inside", "alice@example.com", "organization"},
		{"outside", "alice@example.com", "organization"},
		{"inside", "carol@example.net", "internet"},
		{"dsn", "carol@example.net", "internet"},
		{"outside", "carol@example.net", ""},
	} {
		var fit []string
		e := g.Queue.Deliverer.(*routing.Router).Explain(t.Context(), routing.Question{To: c.to, Origin: queue.Origin{Connector: c.origin}})
		for _, k := range e.Candidates {
			if k.Space != "" && k.Eligibility == routing.Eligible {
				fit = append(fit, k.Connector)
			}
		}
		if got := strings.Join(fit, ","); got != c.want {
			t.Errorf("from %s, %s can take the connectors %q, want %q", c.origin, c.to, got, c.want)
		}
	}
}
