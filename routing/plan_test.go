package routing

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A plan decides as Route does, by the schedule of the time of the message. It
// looks at each property of a message that a connector looks at.
func TestPlanRoutes(t *testing.T) {
	box := &postman{}
	connector := func(name, space string, change func(*Connector)) Connector {
		c := Connector{Name: name, Spaces: []string{space}, Transport: box}
		change(&c)
		return c
	}
	tb := table(t,
		connector("vip", "a.example;1", func(c *Connector) { c.Priorities = HighPriority }),
		connector("net", "a.example;2", func(c *Connector) { c.Scope.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }),
		connector("from", "a.example;3", func(c *Connector) { c.AcceptSenders = []string{"s.example"} }),
		connector("pickup", "a.example;4", func(c *Connector) { c.Scope.ReceiveConnectors = []string{"pickup"} }),
		connector("id", "a.example;5", func(c *Connector) { c.Scope.Identities = []string{"app"} }),
		connector("dsn", "a.example;6", func(c *Connector) { c.SystemMessages = SystemOnly }),
		connector("small", "a.example;7", func(c *Connector) { c.MaxMessageSize = 100 }),
		connector("day", "day.example", func(c *Connector) {
			c.Schedule = schedule(t, "08:00-18:00", time.UTC)
			c.OversizeSchedule, c.OversizeSize = schedule(t, "00:00-24:00", time.UTC), 1000
		}),
		connector("hold", "hold.example", func(c *Connector) { c.Hold = true }),
		connector("demand", "demand.example", func(c *Connector) { c.OnDemand = true }),
		connector("off", "off.example", func(c *Connector) { c.Disabled = true }),
		connector("side", "side.example", func(*Connector) {}))
	r := &Router{Table: table(t, Connector{Name: "old", Spaces: []string{"*"}, Transport: box})}
	p, err := r.PlanRoutes(tb)
	if err != nil {
		t.Fatal(err)
	}
	morning, night := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC), time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	for range 2 { // the second round gets remembered decisions
		for i, c := range []struct {
			m    site.Mail
			want string
		}{
			{site.Mail{Question: site.Question{To: "x@A.example"}}, "sent small"},
			{site.Mail{Question: site.Question{To: "x@a.example", Size: 100}}, "sent small"},
			{site.Mail{Question: site.Question{To: "x@a.example", Size: 101}}, "failed  552"},
			{site.Mail{Question: site.Question{To: "x@a.example", Priority: 2}}, "sent vip"},
			{site.Mail{Question: site.Question{To: "x@a.example", Client: "10.1.1.1"}}, "sent net"},
			{site.Mail{Question: site.Question{To: "x@a.example", From: "y@s.example"}}, "sent from"},
			{site.Mail{Question: site.Question{To: "x@a.example", Connector: "pickup"}}, "sent pickup"},
			{site.Mail{Question: site.Question{To: "x@a.example", Identity: "app"}}, "sent id"},
			{site.Mail{Question: site.Question{To: "x@a.example", System: true}}, "sent dsn"},
			{site.Mail{Question: site.Question{To: "x@day.example"}, Time: morning}, "sent day"},
			{site.Mail{Question: site.Question{To: "x@day.example"}, Time: night}, "waits day outside the schedule"},
			{site.Mail{Question: site.Question{To: "x@day.example", Size: 1001}, Time: night}, "sent day"},
			{site.Mail{Question: site.Question{To: "x@hold.example"}}, "waits hold until a client requests it"},
			{site.Mail{Question: site.Question{To: "x@demand.example"}}, "waits demand until an operator requests it"},
			{site.Mail{Question: site.Question{To: "x@off.example"}}, "waits  451 4.4.4 No connector for off.example now: disabled"},
			{site.Mail{Question: site.Question{To: "x@none.example"}}, "waits  451 4.4.4 No connector for none.example"},
			{site.Mail{Question: site.Question{To: "x"}}, "failed  550 5.1.3"},
		} {
			d := p.PlanRoute(t.Context(), c.m)
			if got := fmt.Sprintf("%s %s %s", d.Outcome, d.Connector, d.Reason); !strings.HasPrefix(got, c.want) {
				t.Errorf("%d: %q, want %q", i, got, c.want)
			}
		}
	}
	if notes := p.Unknown(); len(notes) != 1 || !strings.Contains(notes[0], "Scope.Identities") {
		t.Errorf("%q", notes)
	}
	if n := len(p.(*plan).known); n != 16 { // x@day.example with two times is one decision
		t.Errorf("%d decisions are remembered, want 16", n)
	}
	now, err := r.PlanRoutes(nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := now.PlanRoute(t.Context(), site.Mail{Question: site.Question{To: "x@a.example"}}); d.Connector != "old" || len(now.Unknown()) != 0 {
		t.Errorf("the table in use: %+v, %q", d, now.Unknown())
	}
}

// A plan calls Routed for each recipient, and follows what it returns.
func TestPlanCallsRouted(t *testing.T) {
	calls := 0
	r := &Router{Table: table(t, Connector{Name: "a", Spaces: []string{"*"}, Transport: &postman{}}, Connector{Name: "b", Spaces: []string{"b.example"}, Transport: &postman{}}),
		Routed: func(_ context.Context, m *queue.Message, rcpt *queue.Recipient, hop queue.NextHop) (queue.NextHop, error) {
			calls++
			switch m.Options.Labels["to"] {
			case "b":
				return queue.NextHop{Destination: "b.example"}, nil
			case "gone":
				return queue.NextHop{Connector: "gone"}, nil
			}
			return hop, nil
		}}
	p, err := r.PlanRoutes(nil)
	if err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]string{"": "sent a ", "b": "sent b ", "gone": `waits  451 4.3.5 Routed to connector "gone", which is not in the routing table`} {
		d := p.PlanRoute(t.Context(), site.Mail{Question: site.Question{To: "x@example.net", Labels: map[string]string{"to": label}}})
		if got := fmt.Sprintf("%s %s %s", d.Outcome, d.Connector, d.Reason); got != want {
			t.Errorf("label %q: %q, want %q", label, got, want)
		}
	}
	if calls != 3 || len(p.Unknown()) != 1 {
		t.Errorf("%d calls, %q", calls, p.Unknown())
	}
}

// The memory for decisions has a bound.
func TestPlanForgets(t *testing.T) {
	r := &Router{Table: table(t, Connector{Name: "a", Spaces: []string{"*"}, Transport: &postman{}})}
	p, err := r.PlanRoutes(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxPlanned + 10 {
		if d := p.PlanRoute(t.Context(), site.Mail{Question: site.Question{To: fmt.Sprintf("x@d%d.example", i)}}); d.Connector != "a" {
			t.Fatalf("%+v", d)
		}
	}
	if n := len(p.(*plan).known); n > maxPlanned {
		t.Errorf("%d decisions are remembered", n)
	}
}

// Another kind of table is an error.
func TestPlanOfAnotherTable(t *testing.T) {
	r := &Router{Table: table(t, Connector{Name: "a", Spaces: []string{"*"}, Transport: &postman{}})}
	if _, err := r.PlanRoutes(otherTable{}); err == nil || !strings.Contains(err.Error(), "routing.otherTable is not a routing table") {
		t.Error(err)
	}
}

type otherTable struct{}

func (otherTable) Connectors() []string { return nil }
