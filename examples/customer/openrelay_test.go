package main

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/routing"
)

func assemble(settings map[string]string) (*gateway.Gateway, error) {
	p := program.Program{Name: "customer", New: func() program.Gateway { return new(customer) }}
	var args []string
	for name, value := range settings {
		args = append(args, "-"+name+"="+value)
	}
	return p.Assemble(args...)
}

// newCustomer returns a gateway that has a listener and does not run.
func newCustomer(t *testing.T) *gateway.Gateway {
	settings := good(t)
	settings["listen"] = "127.0.0.1:0"
	r, err := assemble(settings)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The customer's relay sends no mail for strangers. It would leave through the
// provider as mail of the customer.
func TestNoOpenRelay(t *testing.T) {
	policytest.OpenRelay(t, policytest.New(t, newCustomer(t).Listeners[0].Server), "branch.example")
}

// While the mail server is down, its mail waits here. The provider would return
// it with each fetch, in a mail loop.
func TestNoLoopThroughTheProvider(t *testing.T) {
	r := newCustomer(t)
	for _, c := range []struct {
		to     string
		system bool
		want   string // connectors
	}{
		{"alice@branch.example", false, "mail server"},
		{"alice@branch.example", true, "mail server"},
		{"carol@example.net", true, "provider"},
		{"carol@example.net", false, ""},
	} {
		var fit []string
		for _, k := range r.Queue.Deliverer.(*routing.Router).Explain(t.Context(), routing.Question{To: c.to, System: c.system}).Candidates {
			if k.Space != "" && k.Eligibility == routing.Eligible {
				fit = append(fit, k.Connector)
			}
		}
		if got := strings.Join(fit, ","); got != c.want {
			t.Errorf("%s (a report: %v) can take the connectors %q, want %q", c.to, c.system, got, c.want)
		}
	}
}
