package routing_test

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// An accepted domain is set once, with its destination: the hosts, or the name of
// a connector.
func TestAcceptedDestinations(t *testing.T) {
	table, err := routing.Site{Accepted: []routing.AcceptedDomain{
		{Name: "example.com", SmartHosts: []string{"192.0.2.1", "192.0.2.2"}},
		{Name: "example.org", SmartHosts: []string{"192.0.2.1", "192.0.2.2"}},
		{Name: "*.example.net", SmartHosts: []string{"192.0.2.3:2525"}},
		{Name: "partner.example", Connector: "partner"},
		{Name: "other.example"}, // by the address space "--"
	}}.NewTable(
		routing.Connector{Name: "partner", Spaces: []string{"example.test"}, SmartHosts: routing.SmartHosts("192.0.2.4")},
		routing.Connector{Name: "accepted", Spaces: []string{"--;50"}, SmartHosts: routing.SmartHosts("192.0.2.5")},
		routing.Connector{Name: "internet", Spaces: []string{"*"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(table.Connectors(), " "); got != "partner accepted internet example.com *.example.net" {
		t.Errorf("connectors %s", got)
	}
	router := &routing.Router{Table: table, Hostname: "relay.example.com"}
	for to, want := range map[string]queue.NextHop{
		"a@example.com":      {Connector: "example.com", Destination: "[192.0.2.1],[192.0.2.2]"},
		"a@Example.ORG":      {Connector: "example.com", Destination: "[192.0.2.1],[192.0.2.2]"},
		"a@sub.example.com":  {Connector: "internet", Destination: "sub.example.com"},
		"a@x.example.net":    {Connector: "*.example.net", Destination: "[192.0.2.3]:2525"},
		"a@partner.example":  {Connector: "partner", Destination: "[192.0.2.4]"},
		"a@example.test":     {Connector: "partner", Destination: "[192.0.2.4]"},
		"a@other.example":    {Connector: "accepted", Destination: "[192.0.2.5]"},
		"a@internet.example": {Connector: "internet", Destination: "internet.example"},
	} {
		hop, err := router.Route(t.Context(), &queue.Message{Content: queue.String("x")}, &queue.Recipient{Addr: to})
		if err != nil || hop != want {
			t.Errorf("%s: %+v, %v, want %+v", to, hop, err, want)
		}
	}
}

// A destination is exclusive: if its hosts are down, the mail waits, and does not
// go to the hosts in the MX records, which are this relay.
func TestAcceptedDestinationIsExclusive(t *testing.T) {
	table, err := routing.Site{Accepted: []routing.AcceptedDomain{{Name: "example.com", SmartHosts: []string{"192.0.2.1"}}}}.NewTable(
		routing.Connector{Name: "internet", Spaces: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	e := (&routing.Router{Table: table}).Explain(t.Context(), routing.Question{To: "a@example.com"})
	for _, c := range e.Candidates {
		if c.Connector == "internet" && c.Eligibility == routing.Eligible {
			t.Errorf("the connector to the internet can get the mail: %+v", c)
		}
	}
}

func TestWrongDestinations(t *testing.T) {
	for want, domains := range map[string][]routing.AcceptedDomain{
		`(site): Accepted[0].Connector: there is no connector "none"`: {{Name: "example.com", Connector: "none"}},
		`(site): Accepted[0]: "example.com" has SmartHosts and a C`:   {{Name: "example.com", Connector: "internet", SmartHosts: []string{"192.0.2.1"}}},
		`(site): Accepted[1]: "example.com" is listed twice`:          {{Name: "example.com", SmartHosts: []string{"192.0.2.1"}}, {Name: "example.com"}},
		`connector example.com: SmartHosts[0]: "a b" has a space`:     {{Name: "example.com", SmartHosts: []string{"a b"}}},
		`connector example.com: SmartHosts[0]: "mx.example.com" is`:   {{Name: "example.com", SmartHosts: []string{"mx.example.com"}}},
		`causes a mail loop`: {{Name: "example.com", Connector: "internet"}},
	} {
		_, err := routing.Site{Accepted: domains, Names: []string{"mx.example.com"}}.NewTable(routing.Connector{Name: "internet", Spaces: []string{"*"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
