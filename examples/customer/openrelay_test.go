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
	p := program.Program{Name: "customer", New: func() program.Gateway { return &customer{kept: new(kept)} }}
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

// The hosts of the office may send to any domain, and other clients only to the
// domains of the office.
func TestOfficeHostsSend(t *testing.T) {
	settings := good(t)
	settings["listen"], settings["allow"], settings["send-schedule"] = "127.0.0.1:0", "10.0.0.0/24", "2099-01-01 10:00-11:00"
	r, err := assemble(settings)
	if err != nil {
		t.Fatal(err)
	}
	srv := policytest.New(t, r.Listeners[0].Server)
	const hello = "S: 220\nC: EHLO host.branch.example\nS: 250\nC: MAIL FROM:<alice@branch.example>\nS: 250\n"
	srv.Talk(t, "10.0.0.7", hello+`
		C: RCPT TO:<carol@example.net>
		S: 250
		C: RCPT TO:<bob@branch.example>
		S: 250`)
	srv.Talk(t, "192.0.2.7", hello+`
		C: RCPT TO:<carol@example.net>
		S: 550 5.7.1 Unable to relay
		C: RCPT TO:<bob@branch.example>
		S: 250`)
	policytest.OpenRelay(t, srv, "branch.example")

	router := r.Queue.Deliverer.(*routing.Router)
	if e := router.Explain(t.Context(), routing.Question{To: "carol@example.net"}); e.Hop.Connector != "provider" || !e.Held || e.Until.Year() != 2099 {
		t.Errorf("mail to the internet:\n%v", e)
	}
	if e := router.Explain(t.Context(), routing.Question{To: "bob@branch.example"}); e.Hop.Connector != "mail server" || e.Held {
		t.Errorf("mail in the office:\n%v", e)
	}
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
