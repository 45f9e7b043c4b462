package routing

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// ExplainRoute says in sentences what would happen, and why.
func TestExplainRouteSummary(t *testing.T) {
	box := &postman{}
	tb := table(t,
		Connector{Name: "off", Spaces: []string{"example.net"}, Disabled: true, Transport: box},
		Connector{Name: "main", Spaces: []string{"example.net;5"}, Transport: box},
		Connector{Name: "later", Spaces: []string{"later.example"}, Schedule: schedule(t, "2020-01-01 closed; 2999-01-01 10:00-11:00", time.UTC), Transport: box},
		Connector{Name: "etrn", Spaces: []string{"etrn.example"}, Hold: true, Transport: box},
		Connector{Name: "small", Spaces: []string{"small.example"}, MaxMessageSize: 10, Transport: box},
		Connector{Name: "quarantine", RoutedOnly: true, Transport: box})
	r := &Router{Table: tb, Routed: func(_ context.Context, m *queue.Message, rcpt *queue.Recipient, hop queue.NextHop) (queue.NextHop, error) {
		switch {
		case strings.HasPrefix(rcpt.Addr, "spam@"):
			return queue.NextHop{Connector: "quarantine", Destination: "quarantine"}, nil
		case m.From == "bad@example.org":
			return hop, &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Not wanted"}
		}
		return hop, nil
	}}
	for _, c := range []struct {
		q                  RouteQuestion
		outcome            site.Outcome
		connector, summary string
	}{
		{RouteQuestion{From: "<>", To: "a@example.net"}, site.Sent, "main",
			"The connector main takes the message: its address space example.net;5 is the most specific one that matches, with the lowest cost (5).\n" +
				"The connector off comes first, but cannot take it: disabled.\n" +
				"It goes to the queue of the next hop main.\n" +
				"An attempt would be made at once, or as soon as the limits of the queue allow it."},
		{RouteQuestion{To: "a@later.example"}, site.Waits, "later",
			"The connector is outside its schedule: the message would wait until Tue, 01 Jan 2999 10:00:00 UTC."},
		{RouteQuestion{To: "a@etrn.example"}, site.Waits, "etrn", "waits until it is requested"},
		{RouteQuestion{To: "a@small.example", Size: 11}, site.Failed, "",
			"The message has no route. It would fail with this reply, which is reported to the sender: 552 5.3.4 Message is too large"},
		{RouteQuestion{To: "a@example.org"}, site.Waits, "", "It would wait in the queue: 451 4.4.4 No connector for example.org."},
		{RouteQuestion{To: "spam@example.net"}, site.Sent, "quarantine", "The connector quarantine takes the message: chosen by an agent."},
		{RouteQuestion{From: "bad@example.org", To: "a@example.net"}, site.Failed, "", "550 5.7.1 Not wanted"},
		{RouteQuestion{To: "nonsense"}, site.Failed, "", "550 5.1.3 Bad recipient address"},
	} {
		e := r.ExplainRoute(t.Context(), c.q)
		if text := strings.Join(e.Summary, "\n"); e.Outcome != c.outcome || e.Connector != c.connector || !strings.Contains(text, c.summary) {
			t.Errorf("%+v: %s by %q\n%s\nwant %s by %q\n%s", c.q, e.Outcome, e.Connector, text, c.outcome, c.connector, c.summary)
		}
	}
}

// With Hosts and Probe, ExplainRoute has each host, each address and its TLS, in a
// form for JSON.
func TestExplainRouteProbes(t *testing.T) {
	n := newInternet(t, `
		example.net.      MX 10 mx1.example.net.
		example.net.      MX 20 mx2.example.net.
		example.net.      MX 30 mx3.example.net.
		mx1.example.net.  A  192.0.2.1
		mx2.example.net.  A  192.0.2.2
	`)
	n.host(t, "192.0.2.2:25")
	r := n.router(t, Connector{Name: "internet", Spaces: []string{"*"}})
	e := r.ExplainRoute(t.Context(), RouteQuestion{From: "x@example.com", To: "a@example.net", Probe: true})
	if len(e.Hosts) != 3 || e.Hosts[0].Addrs[0] != "192.0.2.1:25" || e.Hosts[2].Problem == "" || e.TLS != "opportunistic" {
		t.Errorf("%+v", e)
	}
	if len(e.Probes) != 2 || e.Probes[0].Problem == "" || e.Probes[1].Problem != "" || e.Probes[1].Policy != "opportunistic" ||
		!strings.Contains(e.Probes[1].Greeting, "host.test") || len(e.Probes[1].Extensions) == 0 {
		t.Errorf("%+v", e.Probes)
	}
	if text := strings.Join(e.Summary, "\n"); !strings.Contains(text, "1 of 2 addresses can be used.") {
		t.Error(text)
	}
	if b, err := json.Marshal(e); err != nil || !strings.Contains(string(b), `"outcome":"sent"`) {
		t.Errorf("%s, %v", b, err)
	}
	e = r.ExplainRoute(t.Context(), RouteQuestion{To: "a@nowhere.example", Hosts: true})
	if e.Outcome != site.Failed || e.HostsProblem == "" || !strings.Contains(strings.Join(e.Summary, "\n"), "No host can be used, so the message would fail") {
		t.Errorf("%+v", e)
	}
}
