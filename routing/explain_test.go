package routing

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// explained returns the text of the explanation without values that differ
// between runs.
func explained(t *testing.T, r *Router, q Question, want string) *Explanation {
	t.Helper()
	e := r.Explain(t.Context(), q)
	got := strings.TrimSpace(e.String())
	want = strings.TrimSpace(strings.ReplaceAll(want, "\n\t\t", "\n"))
	if got != want {
		t.Errorf("got:\n%s\n\nwant:\n%s", got, want)
	}
	return e
}

func TestExplainEveryConnector(t *testing.T) {
	hidden := schedule(t, "2020-01-01 closed", time.UTC)
	spaces := func(name string, s ...string) Connector {
		return Connector{Name: name, Spaces: s, Transport: &postman{name: name}}
	}
	off, small, dear := spaces("off", "example.net"), spaces("small", "example.net"), spaces("dear", "example.net;9")
	off.Disabled, small.MaxMessageSize = true, 10
	closed := spaces("closed", "closed.example")
	closed.Schedule = hidden
	r := &Router{Table: table(t, spaces("all", "*"), spaces("other", "example.org"), spaces("zulu", "example.net;2"),
		spaces("alfa", "example.net;2"), off, small, dear, closed, spaces("dash", "*.net"))}
	e := explained(t, r, Question{From: "a@example.com", To: "b@Example.NET", Size: 100}, `
		from a@example.com to b@Example.NET, 100 bytes
		connectors:
		  - off (example.net, cost 1): disabled
		  - small (example.net, cost 1): message too large
		  * alfa (example.net;2, cost 2): chosen
		  - zulu (example.net;2, cost 2): equally specific and same cost, but its name is later in alphabetical order
		  - dear (example.net;9, cost 9): higher cost: 9 instead of 2
		  - dash (*.net, cost 1): less specific than example.net;2
		  - all (*, cost 1): less specific than example.net;2
		  - other: no address space matches
		  - closed: no address space matches
		next hop: alfa via alfa`)
	if e.Candidates[1].Eligibility != TooLarge || !e.Candidates[2].Chosen || e.Hop.Connector != "alfa" {
		t.Errorf("%+v", e)
	}
	explained(t, r, Question{To: "b@closed.example"}, `
		from <> to b@closed.example, 0 bytes
		connectors:
		  * closed (closed.example, cost 1): chosen
		  - all (*, cost 1): less specific than closed.example
		  - other: no address space matches
		  - zulu: no address space matches
		  - alfa: no address space matches
		  - off: no address space matches
		  - small: no address space matches
		  - dear: no address space matches
		  - dash: no address space matches
		next hop: closed via closed
		held until it is requested`)
}

func TestExplainDownOrMissing(t *testing.T) {
	r := &Router{Table: table(t,
		Connector{Name: "main", Spaces: []string{"example.net"}, Fallback: "spare", Transport: &postman{name: "main", outcome: always(queue.Unreachable)}},
		Connector{Name: "spare", Transport: &postman{name: "spare"}})}
	send(t, r, "a@example.net")
	explained(t, r, Question{From: "x@example.com", To: "a@example.net"}, `
		from x@example.com to a@example.net, 0 bytes
		connectors:
		  * main (example.net, cost 1): chosen, but recently unreachable: the next connector is tried first
		  - spare: only used as a fallback
		next hop: main via main`)
	explained(t, r, Question{From: "x@example.com", To: "a@example.org"}, `
		from x@example.com to a@example.org, 0 bytes
		connectors:
		  - main: no address space matches
		  - spare: only used as a fallback
		no route: 451 4.4.4 No connector for example.org`)
	explained(t, r, Question{From: "x@example.com", To: "postmaster"}, `
		from x@example.com to postmaster, 0 bytes
		connectors:
		no route: 550 5.1.3 Bad recipient address: no domain`)
}

func TestExplainExclusive(t *testing.T) {
	r := &Router{Table: table(t,
		Connector{Name: "partner", Spaces: []string{"*.mil"}, Exclusive: true, MaxMessageSize: 100, Transport: &postman{}},
		Connector{Name: "side", RoutedOnly: true, Transport: &postman{}},
		Connector{Name: "world", Spaces: []string{"*"}, Transport: &postman{}})}
	explained(t, r, Question{From: "x@example.com", To: "a@army.mil"}, `
		from x@example.com to a@army.mil, 0 bytes
		connectors:
		  * partner (*.mil, cost 1): chosen
		  - world (*, cost 1): partner is exclusive for *.mil
		  - side: only for mail that is explicitly routed to it
		next hop: partner via partner`)
	explained(t, r, Question{From: "x@example.com", To: "a@army.mil", Size: 101}, `
		from x@example.com to a@army.mil, 101 bytes
		connectors:
		  - partner (*.mil, cost 1): message too large
		  - world (*, cost 1): partner is exclusive for *.mil
		  - side: only for mail that is explicitly routed to it
		no route: 552 5.3.4 Message is too large for every connector to army.mil`)
}

func TestExplainMailLoop(t *testing.T) {
	tb, err := Site{Domains: []string{"example.com"}}.NewTable(
		Connector{Name: "guests", Spaces: []string{"example.com"}, Disabled: true, Scope: Scope{Senders: []string{"guest.example"}}, Transport: &postman{}},
		Connector{Name: "ours", Spaces: []string{"example.com"}, Disabled: true, Transport: &postman{}},
		Connector{Name: "world", Spaces: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	explained(t, &Router{Table: tb}, Question{From: "x@example.net", To: "a@example.com"}, `
		from x@example.net to a@example.com, 0 bytes
		connectors:
		  - guests (example.com, cost 1): disabled
		  - ours (example.com, cost 1): disabled
		  - world (*, cost 1): mail loop: the domain is one of Site.Domains
		no route: 451 4.4.4 No connector for example.com now: disabled`)
}

func TestExplainHostsAndProbe(t *testing.T) {
	n := newInternet(t, `
		example.net.      MX 10 mx1.example.net.
		example.net.      MX 20 mx2.example.net.
		example.net.      MX 30 mx3.example.net.
		example.net.      MX 40 mx4.example.net.
		mx1.example.net.  A  192.0.2.1
		mx2.example.net.  A  192.0.2.2
		mx2.example.net.  AAAA 2001:db8::2
		mx4.example.net.  A  192.0.2.4
	`)
	n.host(t, "192.0.2.2:25")
	n.dns.Fault("mx4.example.net", "", dnstest.Fault{Rcode: 2})
	r := n.router(t, Connector{Name: "internet", Spaces: []string{"*"}})
	explained(t, r, Question{From: "x@example.com", To: "a@example.net", Hosts: true}, `
		from x@example.com to a@example.net, 0 bytes
		connectors:
		  * internet (*, cost 1): chosen
		next hop: example.net via internet
		hosts (TLS opportunistic):
		  mx1.example.net 192.0.2.1:25
		  mx2.example.net [2001:db8::2]:25 192.0.2.2:25
		  mx3.example.net not used: mx3.example.net A: no such domain
		  mx4.example.net not used: mx4.example.net AAAA: DNS lookup failed: SERVFAIL`)
	e := r.Explain(t.Context(), Question{From: "x@example.com", To: "a@example.net", Probe: true})
	if len(e.Probes) != 3 {
		t.Fatalf("%d probes of 3 addresses", len(e.Probes))
	}
	i := slices.IndexFunc(e.Probes, func(p smtpclient.Probe) bool { return p.Addr == "192.0.2.2:25" })
	if p := e.Probes[i]; p.Err != nil || !strings.Contains(p.Greeting, "host.test") || p.Extensions["PIPELINING"] != "" {
		t.Errorf("%+v", p)
	}
	text := e.String()
	for _, want := range []string{"mx1.example.net 192.0.2.1:25: ", "connection refused", "mx2.example.net 192.0.2.2:25: \"host.test", "PIPELINING"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	explained(t, r, Question{From: "x@example.com", To: "a@nowhere.example", Probe: true}, `
		from x@example.com to a@nowhere.example, 0 bytes
		connectors:
		  * internet (*, cost 1): chosen
		next hop: nowhere.example via internet
		no hosts: nowhere.example MX: no such domain`)
}

func TestExplainTheTLSLevel(t *testing.T) {
	encrypt := &smtpclient.TLSPolicy{Level: smtpclient.TLSEncrypt}
	auth := smtpclient.PasswordAuth("u", "p")
	for want, c := range map[string]Connector{
		"opportunistic": {},
		"domain":        {Auth: auth},
		"encrypt":       {Auth: auth, TLS: encrypt},
		"none":          {Transport: SMTP(&smtpclient.Transport{TLS: smtpclient.TLSPolicy{Level: smtpclient.TLSNone}})},
		"dane":          {TLS: encrypt, DomainTLS: map[string]smtpclient.TLSPolicy{"example.net": {Level: smtpclient.TLSDANE}}},
	} {
		s, resolver := inMemory(t, "example.net. A 192.0.2.1")
		c.Name, c.Spaces = "c", []string{"example.net"}
		r := &Router{Table: table(t, c), Resolver: resolver, Hostname: "relay.test"}
		if e := r.Explain(t.Context(), Question{To: "a@example.net", Hosts: true}); e.TLS != want || len(e.Hosts) != 1 {
			t.Errorf("TLS %s, want %s:\n%s", e.TLS, want, e)
		}
		r.Close()
		s.Close()
	}
}

func TestLookupTXT(t *testing.T) {
	s, r := inMemory(t, `
		_mta-sts.example.net. TXT "v=STSv1; " "id=1;"
		_mta-sts.example.net. TXT "other"
		example.net. A 192.0.2.1`)
	s.Fault("broken.example", "", dnstest.Fault{Rcode: 2})
	got, err := LookupTXT(t.Context(), r, "_mta-sts.example.net")
	if slices.Sort(got); err != nil || !slices.Equal(got, []string{"other", "v=STSv1; id=1;"}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, name := range []string{"example.net", "nowhere.example"} {
		if got, err := LookupTXT(t.Context(), r, name); err != nil || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := LookupTXT(t.Context(), r, "broken.example"); err == nil {
		t.Error("a DNS failure was returned as no records")
	}
}
