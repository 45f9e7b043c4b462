package compare_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// Each change of the routing table is found, with its kind and both decisions.
func TestRoutes(t *testing.T) {
	now := []string{"org example.com *.sub.example.com", "world *;10"}
	office, err := routing.ParseSchedule("08:00-18:00", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	out := func(columns ...string) *tracking.Entry {
		return received("a@example.com", "b@example.net", append(columns, "client-ip", "10.0.0.1")...)
	}
	for name, c := range map[string]struct {
		change func(*routing.Connector)
		table  []string
		entry  *tracking.Entry
		want   string
	}{
		"the same table": {nil, now, out(), ""},
		"another connector": {nil, []string{"org example.com", "partner example.net", "world *;10"}, out(),
			"example.net 1 rerouted: sent via world to world.test -> sent via partner to partner.test"},
		"another smart host": {func(c *routing.Connector) { c.SmartHosts[0].Host += ":587" }, now, out(),
			"example.net 1 rerouted: sent via world to world.test -> sent via world to world.test:587"},
		"only the cost": {nil, []string{"org example.com", "world *;20"}, out(), ""},
		"no connector": {nil, []string{"org example.com"}, out(),
			"example.net 1 waits: sent via world to world.test -> waits (451 4.4.4 No connector for example.net)"},
		"disabled": {func(c *routing.Connector) { c.Disabled = c.Name == "world" }, now, out(),
			"example.net 1 waits: sent via world to world.test -> waits (451 4.4.4 No connector for example.net now: disabled)"},
		"outside the schedule": {func(c *routing.Connector) { c.Schedule = office }, now, out("time", "2026-11-28T19:00:00Z"),
			"example.net 1 waits: sent via world to world.test -> waits via world to world.test (outside the schedule of the connector)"},
		"within the schedule": {func(c *routing.Connector) { c.Schedule = office }, now, out("time", "2026-11-28T17:00:00Z"), ""},
		"held":                {func(c *routing.Connector) { c.Hold = true }, now, out(), "example.net 1 waits: sent via world to world.test -> waits via world to world.test (until a client requests it)"},
		"too large": {func(c *routing.Connector) { c.MaxMessageSize = 999 }, now, out(),
			"example.net 1 fails: sent via world to world.test -> fails (552 5.3.4 Message is too large for every connector to example.net)"},
		"not too large": {func(c *routing.Connector) { c.MaxMessageSize = 1000 }, now, out(), ""},
		"by sender": {func(c *routing.Connector) {
			if c.Name == "vip" {
				c.AcceptSenders = []string{"a@example.com"}
			}
		}, append([]string{"vip *;1"}, now...), out(), "example.net 1 rerouted: sent via world to world.test -> sent via vip to vip.test"},
		"by receive connector": {func(c *routing.Connector) {
			if c.Name == "vip" {
				c.Scope.ReceiveConnectors = []string{"other"}
			}
		}, append([]string{"vip *;1"}, now...), out(), ""},
		"by priority": {func(c *routing.Connector) {
			if c.Name == "vip" {
				c.Priorities = routing.HighPriority
			}
		}, append([]string{"vip *;1"}, now...), out("message-info", "event=1019; priority=3"), "example.net 1 rerouted: sent via world to world.test -> sent via vip to vip.test"},
		"reports only": {func(c *routing.Connector) {
			if c.Name == "vip" {
				c.SystemMessages = routing.SystemOnly
			}
		}, append([]string{"vip *;1"}, now...), received("", "b@example.net", "source", "DSN", "connector-id", "dsn", "message-info", "login=yes"),
			"example.net 1 rerouted: sent via world to world.test -> sent via vip to vip.test"},
		"upper and lower case": {nil, []string{"org example.com", "partner example.net", "world *;10"}, received("a@x.example", "b@EXAMPLE.net", "client-ip", "10.0.0.1"),
			"example.net 1 rerouted: sent via world to world.test -> sent via partner to partner.test"},
	} {
		t.Run(name, func(t *testing.T) {
			g := relay(t, table(t, nil, now...), domains("example.com"), nil)
			r, got := run(t, g, compare.Candidate{Table: table(t, c.change, c.table...)}, c.entry)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if total := r.Unchanged.Recipients + sum(r); total != 1 || r.Compared != (compare.Count{Recipients: 1, Bytes: 1000}) {
				t.Errorf("unchanged %v, changes %v of %v", r.Unchanged, r.Totals, r.Compared)
			}
		})
	}
	// What the table in use holds back, and the candidate sends.
	g := relay(t, table(t, func(c *routing.Connector) { c.Disabled = c.Name == "world" }, now...), domains("example.com"), nil)
	if _, got := run(t, g, compare.Candidate{Table: table(t, nil, now...)}, out()); got !=
		"example.net 1 sent: waits (451 4.4.4 No connector for example.net now: disabled) -> sent via world to world.test" {
		t.Error(got)
	}
}

func sum(r *compare.Result) (n int64) {
	for _, total := range r.Totals {
		n += total.Recipients
	}
	return n
}

// A message is refused by new accepted domains only if its client may not relay.
func TestAcceptedDomains(t *testing.T) {
	authenticated := func(g *policy.Gate) { g.Authenticated = true }
	identity := func(g *policy.Gate) {
		g.Grants = []policy.Grant{{To: policy.Clients{Everyone: true}, Rights: policy.AnonymousUsers},
			{To: policy.Clients{Identities: []string{"app"}}, Rights: policy.ExchangeUsers}}
	}
	const refused = "refused (550 5.7.1 Unable to relay)"
	const unsure = "refused, unless the client may relay (550 5.7.1 Unable to relay)"
	const sent = "sent via world to world.test"
	for name, c := range map[string]struct {
		gate  func(*policy.Gate)
		after []string
		entry *tracking.Entry
		want  string
	}{
		"the same domains":      {nil, []string{"old.example", "example.com"}, received("s@x.example", "b@old.example"), ""},
		"a stranger":            {nil, []string{"example.com"}, received("s@x.example", "b@old.example"), "old.example 1 refused: " + sent + " -> " + refused},
		"no domain is accepted": {nil, []string{}, received("s@x.example", "b@old.example"), "old.example 1 refused: " + sent + " -> " + refused},
		"a trusted network":     {nil, []string{"example.com"}, received("s@x.example", "b@old.example", "client-ip", "10.9.9.9"), "old.example 1 role: " + sent + " -> " + sent},
		"authenticated":         {authenticated, []string{"example.com"}, received("s@x.example", "b@old.example", "message-info", "login=yes"), "old.example 1 role: " + sent + " -> " + sent},
		"not authenticated":     {authenticated, []string{"example.com"}, received("s@x.example", "b@old.example"), "old.example 1 refused: " + sent + " -> " + refused},
		"an identity that may be the one": {identity, []string{"example.com"}, received("s@x.example", "b@old.example", "message-info", "login=yes"),
			"old.example 1 maybeRefused: " + sent + " -> " + unsure},
		"an identity, and the message was relayed": {identity, []string{"example.com"}, received("s@x.example", "b@old.example;c@elsewhere.example", "message-info", "login=yes"),
			"old.example 1 role: " + sent + " -> " + sent},
		"a stranger whose message was relayed, by settings of the past": {nil, []string{"example.com"}, received("s@x.example", "b@old.example;c@elsewhere.example"),
			"old.example 1 maybeRefused: " + sent + " -> " + unsure},
		"a report":          {nil, []string{"example.com"}, received("", "b@old.example", "source", "DSN", "connector-id", "dsn"), ""},
		"the pickup folder": {nil, []string{"example.com"}, received("s@x.example", "b@old.example", "source", "PICKUP", "connector-id", "pickup"), ""},
		"another role": {nil, []string{"old.example=internal relay", "example.com"}, received("s@x.example", "b@old.example"),
			"old.example 1 role: " + sent + " -> " + sent},
		"a pattern": {nil, []string{"*.example", "example.com"}, received("s@x.example", "b@old.example"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := relay(t, table(t, nil, "world *"), domains("example.com", "old.example"), c.gate)
			_, got := run(t, g, compare.Candidate{Domains: domains(c.after...)}, c.entry)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// New accepted domains do not apply to a receive connector that has none, and a
// receive connector without a Gate accepts as before.
func TestConnectorsWithoutDomains(t *testing.T) {
	g := relay(t, table(t, nil, "world *"), nil, nil)
	r, got := run(t, g, compare.Candidate{Domains: domains("example.com")},
		received("a@example.com", "b@example.net", "client-ip", "10.0.0.1"), received("a@example.com", "b@example.net", "connector-id", "gone"))
	if got != "" || len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "1 messages came from receive connectors that the relay does not have now") {
		t.Errorf("%s %q", got, r.Notes)
	}
}

// Recipients that were refused because the client may not relay would be accepted if
// their domain becomes an accepted domain.
func TestRefusals(t *testing.T) {
	refusal := func(to, reply string, columns ...string) *tracking.Entry {
		e := received("s@x.example", to, append([]string{"recipient-status", reply, "total-bytes", "", "recipient-count", ""}, columns...)...)
		e.Event, e.ID = "REJECT", ""
		return e
	}
	g := relay(t, table(t, nil, "org new.example", "world *;10"), domains("example.com"), nil)
	r, got := run(t, g, compare.Candidate{Domains: domains("example.com", "new.example")},
		refusal("b@new.example", "550 5.7.1 Unable to relay"),
		refusal("b@strange.example", "550 5.7.1 Unable to relay"),
		refusal("b@new.example", "550 5.1.1 User unknown"),
		refusal("b@new.example", "550 5.7.1 Unable to relay", "connector-id", "gone"),
		refusal("", "550 5.7.1 Unable to relay", "message-info", "count=12"))
	if want := "new.example 1 accepted: refused (550 5.7.1 Unable to relay) -> sent via org to org.test"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r.Messages != 0 || r.Compared.Recipients != 2 || r.UnchangedDomains != 0 || len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "12 refusals are only counted") {
		t.Errorf("%+v", r)
	}
}

// The list of recipients can be cut in the log: the last one is then not complete.
func TestCutRecipients(t *testing.T) {
	g := relay(t, table(t, nil, "world *"), domains("example.com"), nil)
	e := received("s@x.example", "a@example.com;b@exam...", "recipient-count", "5")
	r, got := run(t, g, compare.Candidate{Domains: domains()}, e)
	if r.Compared.Recipients != 1 || got != "example.com 1 refused: sent via world to world.test -> refused (550 5.7.1 Unable to relay)" {
		t.Errorf("%+v\n%s", r.Compared, got)
	}
	if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "4 recipients are not in the log") {
		t.Errorf("%q", r.Notes)
	}
}

// Examples, domains and lines have limits, and nothing is lost in the counts.
func TestLimits(t *testing.T) {
	g := relay(t, table(t, nil, "world *"), domains("example.com"), nil)
	var entries []*tracking.Entry
	for i := range 100 {
		entries = append(entries, received("a@example.com", fmt.Sprintf("b@d%d.example", i%10), "client-ip", "10.0.0.1"))
	}
	c := &compare.Comparison{Gateway: g, Candidate: compare.Candidate{Table: table(t, nil, "other *")}, Limits: compare.Limits{Domains: 4, Entries: 95}}
	r, err := c.Run(t.Context(), each(entries...))
	if err != nil {
		t.Fatal(err)
	}
	n := r.Other.Changed.Recipients
	for _, d := range r.Domains {
		n += d.Changed.Recipients
		if len(d.Changes) != 1 || len(d.Changes[0].Examples) != compare.Examples {
			t.Errorf("%+v", d)
		}
	}
	if len(r.Domains) != 4 || n != 95 || sum(r) != 95 || r.Partial != "only the first 95 lines were examined" {
		t.Errorf("%d domains, %d recipients, %v, %q", len(r.Domains), n, r.Totals, r.Partial)
	}
	c.Limits = compare.Limits{Time: time.Nanosecond}
	if r, err := c.Run(t.Context(), each(entries...)); err != nil || r.Lines != 0 || r.Partial == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

// The text of the result has the totals, the domains with examples, and nothing
// that could control a terminal.
func TestText(t *testing.T) {
	g := relay(t, table(t, nil, "world *"), domains("example.com"), nil)
	r, _ := run(t, g, compare.Candidate{Domains: domains()}, received("evil\x1b[31m@x.example", "a@example.com"), received("s@x.example", "a@example.com"))
	const want = `2 messages from 2026-11-28 12:00:00 to 2026-11-28 12:00:00, 2 recipients: 0 unchanged
       2 would be refused

example.com: 2 of 2 recipients change
       2 would be refused
         now: sent via world to world.test
         new: refused (550 5.7.1 Unable to relay)
         2026-11-28 12:00:00 m1 from <"evil\x1b[31m@x.example"> to <a@example.com>
         2026-11-28 12:00:00 m1 from <s@x.example> to <a@example.com>
`
	if got := r.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Settings with which nothing can be compared are errors.
func TestErrors(t *testing.T) {
	tb := table(t, nil, "world *")
	g := relay(t, tb, domains("example.com"), nil)
	failing := errors.New("disk on fire")
	for _, c := range []struct {
		c    compare.Comparison
		e    iter.Seq2[*tracking.Entry, error]
		want string
	}{
		{compare.Comparison{Candidate: compare.Candidate{Table: tb}}, each(), "Comparison.Gateway is not set"},
		{compare.Comparison{Gateway: g}, each(), "the Candidate has neither a Table nor Domains"},
		{compare.Comparison{Gateway: g, Candidate: compare.Candidate{Domains: domains("no domain")}}, each(), `Candidate.Domains: policy: accepted domain "no domain"`},
		{compare.Comparison{Gateway: g, Candidate: compare.Candidate{Table: names{}}}, each(), "Candidate.Table: routing: a compare_test.names is not a routing table"},
		{compare.Comparison{Gateway: &gateway.Gateway{Queue: &queue.Queue{Store: &memory.Store{}}}, Candidate: compare.Candidate{Table: tb}}, each(), "is not a routing.Router"},
		{compare.Comparison{Gateway: g, Candidate: compare.Candidate{Table: tb}}, func(yield func(*tracking.Entry, error) bool) { yield(nil, failing) }, "disk on fire"},
	} {
		if _, err := c.c.Run(t.Context(), c.e); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := compare.Comparison{Gateway: g, Candidate: compare.Candidate{Table: tb}}
	if _, err := c.Run(ctx, each()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := c.Log(t.Context(), t.TempDir()+"/none", time.Time{}, time.Time{}); err == nil {
		t.Error("a log that does not exist is not an error")
	}
}

type names struct{}

func (names) Connectors() []string { return nil }
