package routing

import (
	"cmp"
	"context"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

func TestExplicitRoute(t *testing.T) {
	a, b := &postman{name: "a"}, &postman{name: "b"}
	r := &Router{Table: table(t, Connector{Name: "a", Spaces: []string{"*"}, Transport: a},
		Connector{Name: "b", Spaces: []string{"b.example"}, Transport: b}, Connector{Name: "off", Spaces: []string{"off.example"}, Disabled: true})}
	for hop, want := range map[queue.NextHop]string{
		{Destination: "b.example"}:                      "1:b", // as if the domain were another
		{Connector: "b", Destination: "anything"}:       "1:b", // another connector
		{Connector: "nowhere", Destination: "anything"}: `0:Routed to connector "nowhere", which is not in the routing table`,
		{Connector: "off", Destination: "off"}:          `0:Routed to connector "off", which is disabled`,
		{Destination: "no domain"}:                      `0:Redirected to no domain, which cannot be routed: "no domain" is not a host name`,
	} {
		rcpts := recipients("x@example.net")
		rcpts[0].Route = hop
		if got := outcomes(r.Deliver(t.Context(), hop, &queue.Message{}, rcpts)); got != want {
			t.Errorf("%v: %s, want %s", hop, got, want)
		}
	}
}

// Mail whose connector is removed from the table is routed again, and Routed
// is called again.
func TestRemovedConnector(t *testing.T) {
	a := &postman{name: "a"}
	r := &Router{Table: table(t, Connector{Name: "a", Spaces: []string{"*"}, Transport: a}, Connector{Name: "off", Spaces: []string{"off.example"}, Disabled: true})}
	for _, gone := range []string{"nowhere", "off"} {
		hop := queue.NextHop{Connector: gone, Destination: "anything"}
		for routed, want := range map[queue.NextHop]string{
			{}:                            "1:a",
			{Connector: "quarantine"}:     `0:Routed to connector "quarantine", which is not in the routing table`,
			{Connector: "off"}:            `0:Routed to connector "off", which is disabled`,
			{Destination: "else.example"}: "1:a",
		} {
			r.Routed = func(_ context.Context, _ *queue.Message, _ *queue.Recipient, hop queue.NextHop) (queue.NextHop, error) {
				return cmp.Or(routed, hop), nil
			}
			if got := outcomes(r.Deliver(t.Context(), hop, &queue.Message{}, recipients("x@example.net"))); got != want {
				t.Errorf("%s, Routed to %v: %s, want %s", gone, routed, got, want)
			}
		}
	}
}

// Mail that was explicitly routed to a quarantine is not sent to the internet
// when the quarantine is down.
func TestExplicitRouteHasNoAlternative(t *testing.T) {
	quarantine := &postman{name: "quarantine", outcome: always(queue.Unreachable)}
	r := &Router{Table: table(t, Connector{Name: "internet", Spaces: []string{"*"}, Transport: &postman{name: "internet"}},
		Connector{Name: "quarantine", Spaces: []string{"quarantine.example"}, Transport: quarantine})}
	for _, hop := range []queue.NextHop{{Connector: "quarantine"}, {Destination: "quarantine.example"}} {
		rcpts := recipients("a@example.net")
		rcpts[0].Route = hop
		for range 2 { // before and after it is known to be down
			if got := outcomes(r.Deliver(t.Context(), hop, &queue.Message{}, rcpts)); got != "3:quarantine" {
				t.Errorf("%v: %s", hop, got)
			}
		}
	}
}
