package main

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/routing"
)

func assemble(args ...string) (*gateway.Gateway, error) {
	p := program.Program{Name: "provider", New: func() program.Gateway { return new(provider) }}
	return p.Assemble(args...)
}

// newProvider returns a gateway that does not run.
func newProvider(t *testing.T) *gateway.Gateway {
	cert, key := certificate(t)
	r, err := assemble("-customers", peers.File(t, customers), "-cert", cert, "-key", key, "-keep", "1h", "-hostname", "mail.provider.example", "-spool", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The provider relays no mail for a client that has not logged in.
func TestNoOpenRelay(t *testing.T) {
	policytest.OpenRelay(t, policytest.New(t, newProvider(t).Listeners[0].Server), "branch.example", "shop.example", "boat.example")
}

// A customer's mail has one connector and waits for that customer.
func TestConnectorsOfRecipients(t *testing.T) {
	r := newProvider(t)
	for to, want := range map[string]string{"alice@branch.example": "branch", "bob@shop.example": "branch", "ann@boat.example": "boat", "carol@example.net": "internet"} {
		var fit []string
		e := r.Queue.Deliverer.(*routing.Router).Explain(t.Context(), routing.Question{To: to})
		for _, k := range e.Candidates {
			if k.Space != "" && k.Eligibility == routing.Eligible {
				fit = append(fit, k.Connector)
			}
		}
		if got := strings.Join(fit, ","); got != want || e.Held != (want != "internet") {
			t.Errorf("%s can take the connectors %q, want %q", to, got, want)
		}
	}
}
