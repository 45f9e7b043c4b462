package routing

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// table returns a table that must be valid.
func table(t testing.TB, connectors ...Connector) *Table {
	t.Helper()
	tb, err := NewTable(connectors...)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func routed(t testing.TB, tb *Table, m *queue.Message, to string) string {
	t.Helper()
	hop, err := (&Router{Table: tb}).Route(t.Context(), m, &queue.Recipient{Addr: to})
	if err != nil {
		var reply *smtp.SMTPError
		if !errors.As(err, &reply) {
			t.Fatalf("%s: %v is no reply", to, err)
		}
		return code(reply)
	}
	return hop.Connector
}

// The most specific space wins, then the lowest cost, then the name.
func TestConnectorOrder(t *testing.T) {
	tb := table(t,
		Connector{Name: "all", Spaces: []string{"*;1"}},
		Connector{Name: "com", Spaces: []string{"*.com;50"}},
		Connector{Name: "below", Spaces: []string{"*.example.com;90"}},
		Connector{Name: "exact", Spaces: []string{"SMTP:example.com;100"}},
		Connector{Name: "deep", Spaces: []string{"*.a.b.example.com"}},
		Connector{Name: "cheap", Spaces: []string{"cost.example;5"}},
		Connector{Name: "dear", Spaces: []string{"cost.example;6"}},
		Connector{Name: "zulu", Spaces: []string{"name.example"}},
		Connector{Name: "alfa", Spaces: []string{"name.example", "smtp:*.name.example; 7"}},
		Connector{Name: "idn", Spaces: []string{"müller.example"}},
		Connector{Name: "literal", Spaces: []string{"[192.0.2.1]", "[2001:db8::1]"}},
	)
	for to, want := range map[string]string{
		"a@example.com": "exact", "a@EXAMPLE.Com": "exact", "a@example.com.": "exact",
		"a@www.example.com": "below", "a@x.y.example.com": "below", "a@z.a.b.example.com": "deep",
		"a@a.b.example.com": "deep", "a@b.example.com": "below",
		"a@other.com": "com", "a@com": "com", "a@notexample.com": "com", "a@example.net": "all",
		"a@cost.example": "cheap", "a@name.example": "alfa", "a@sub.name.example": "alfa",
		"a@müller.example": "idn", "a@MÜLLER.example": "idn", "a@xn--mller-kva.example": "idn",
		"a@[192.0.2.1]": "literal", "a@[IPv6:2001:DB8:0::1]": "literal", "a@[192.0.2.2]": "all",
		`"a@b"@example.com`: "exact",
		"postmaster":        "550 5.1.3", "a@[192.0.2]": "550 5.1.3", "a@[IPv6:fe80::1%lo]": "550 5.1.3",
	} {
		if got := routed(t, tb, &queue.Message{}, to); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

func TestIneligibleConnectors(t *testing.T) {
	big := queue.String(strings.Repeat("x", 2000))
	for _, c := range []struct {
		name string
		conn Connector
		m    queue.Message
		want string
	}{
		{"nothing", Connector{}, queue.Message{}, "c"},
		{"disabled", Connector{Disabled: true}, queue.Message{}, "451 4.4.4"},
		{"size fits", Connector{MaxMessageSize: 2000}, queue.Message{Content: big}, "c"},
		{"too small", Connector{MaxMessageSize: 1999}, queue.Message{Content: big}, "552 5.3.4"},

		{"sender in scope", Connector{Scope: Scope{Senders: []string{"example.com"}}}, queue.Message{From: "a@Example.COM"}, "c"},
		{"sender out of scope", Connector{Scope: Scope{Senders: []string{"example.com"}}}, queue.Message{From: "a@b.example.com"}, "451 4.4.4"},
		{"below", Connector{Scope: Scope{Senders: []string{"*.example.com"}}}, queue.Message{From: "a@x.b.example.com"}, "c"},
		{"null path in scope", Connector{Scope: Scope{Senders: []string{"<>"}}}, queue.Message{}, "c"},
		{"null path out of scope", Connector{Scope: Scope{Senders: []string{"example.com"}}}, queue.Message{}, "451 4.4.4"},
		{"network", Connector{Scope: Scope{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
			queue.Message{Origin: queue.Origin{ClientAddr: "::ffff:10.1.2.3"}}, "c"},
		{"other network", Connector{Scope: Scope{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
			queue.Message{Origin: queue.Origin{ClientAddr: "192.0.2.1"}}, "451 4.4.4"},
		{"no network known", Connector{Scope: Scope{Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}},
			queue.Message{}, "451 4.4.4"},
		{"receive connector", Connector{Scope: Scope{ReceiveConnectors: []string{"inside"}}},
			queue.Message{Origin: queue.Origin{Connector: "inside"}}, "c"},
		{"other receive connector", Connector{Scope: Scope{ReceiveConnectors: []string{"inside"}}},
			queue.Message{Origin: queue.Origin{Connector: "edge"}}, "451 4.4.4"},
		{"identity", Connector{Scope: Scope{Identities: []string{"alice"}}},
			queue.Message{Origin: queue.Origin{Identity: "alice"}}, "c"},
		{"identity in another case", Connector{Scope: Scope{Identities: []string{"Alice"}}},
			queue.Message{Origin: queue.Origin{Identity: "aLICE"}}, "c"},
		{"no identity", Connector{Scope: Scope{Identities: []string{"alice"}}}, queue.Message{}, "451 4.4.4"},

		{"accepted sender", Connector{AcceptSenders: []string{"boss@example.com"}}, queue.Message{From: "Boss@example.com"}, "c"},
		{"sender not accepted", Connector{AcceptSenders: []string{"boss@example.com"}}, queue.Message{From: "x@example.com"}, "550 5.7.1"},
		{"refused sender", Connector{RefuseSenders: []string{"@example.com"}}, queue.Message{From: "x@example.com"}, "550 5.7.1"},
		{"refuse goes before accept", Connector{AcceptSenders: []string{"*"}, RefuseSenders: []string{"example.com"}},
			queue.Message{From: "x@example.com"}, "550 5.7.1"},
		{"priority", Connector{Priorities: HighPriority | NormalPriority}, queue.Message{Options: queue.MessageOptions{Priority: 4}}, "c"},
		{"wrong priority", Connector{Priorities: HighPriority | NormalPriority}, queue.Message{Options: queue.MessageOptions{Priority: -4}}, "550 5.7.1"},
		{"only system", Connector{SystemMessages: SystemOnly}, queue.Message{System: true}, "c"},
		{"only system, but", Connector{SystemMessages: SystemOnly}, queue.Message{}, "550 5.7.1"},
		{"never system", Connector{SystemMessages: SystemNever}, queue.Message{System: true}, "550 5.7.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.conn.Name, c.conn.Spaces = "c", []string{"*"}
			if got := routed(t, table(t, c.conn), &c.m, "x@example.net"); got != c.want {
				t.Errorf("alone: %s, want %s", got, c.want)
			}
			want := c.want
			if want != "c" {
				want = "spare"
			}
			spare := Connector{Name: "spare", Spaces: []string{"*;2"}}
			if got := routed(t, table(t, c.conn, spare), &c.m, "x@example.net"); got != want {
				t.Errorf("beside another: %s, want %s", got, want)
			}
		})
	}
}

func TestNothingMatches(t *testing.T) {
	tb := table(t, Connector{Name: "c", Spaces: []string{"example.com"}})
	if got := routed(t, tb, &queue.Message{}, "x@example.net"); got != "451 4.4.4" {
		t.Errorf("no connector: %s", got)
	}
	if got := routed(t, &Table{}, &queue.Message{}, "x@example.net"); got != "451 4.4.4" {
		t.Errorf("an empty table: %s", got)
	}
	if got := routed(t, nil, &queue.Message{}, "x@example.net"); got != "451 4.4.4" {
		t.Errorf("no table: %s", got)
	}
}

func TestSiteDomains(t *testing.T) {
	site := Site{Domains: []string{"example.com", "*.corp.example"}, BackupDomains: []string{"friend.example"}}
	tb, err := site.NewTable(
		Connector{Name: "in", Spaces: []string{"--"}, SmartHosts: SmartHosts("[10.0.0.5]")},
		Connector{Name: "out", Spaces: []string{"*"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		"a@example.com": "in", "a@x.corp.example": "in", "a@corp.example": "in", "a@friend.example": "in",
		"a@x.example.com": "out", "a@example.net": "out",
	} {
		if got := routed(t, tb, &queue.Message{}, to); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
	if _, err := site.NewTable(Connector{Name: "backup", Spaces: []string{"friend.example"}},
		Connector{Name: "in", Spaces: []string{"example.com", "*.corp.example"}, SmartHosts: SmartHosts("[10.0.0.5]")}); err != nil {
		t.Errorf("a backup domain may go by DNS: %v", err)
	}
}

func TestHopNames(t *testing.T) {
	night, err := ParseSchedule("22:00-06:00", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		conn Connector
		size int
		want string
	}{
		{Connector{}, 10, "example.net via c"},
		{Connector{SmartHosts: SmartHosts("[10.0.0.5]:25", "B.example:26")}, 10, "[10.0.0.5],b.example:26 via c"},
		{Connector{SmartHosts: []SmartHost{{Host: "b.example", MX: true}}}, 10, "mx:b.example via c"},
		{Connector{SmartHosts: SmartHosts("[10.0.0.5]"), DirectFirst: true}, 10, "example.net via c"},
		{Connector{OversizeSchedule: night, OversizeSize: 100}, 100, "example.net via c"},
		{Connector{OversizeSchedule: night, OversizeSize: 100}, 101, "example.net (oversize) via c"},
		{Connector{Transport: &DropDir{Dir: "drop"}}, 10, "c via c"},
	} {
		c.conn.Name, c.conn.Spaces = "c", []string{"*"}
		m := &queue.Message{Content: queue.String(strings.Repeat("x", c.size))}
		hop, err := (&Router{Table: table(t, c.conn)}).Route(t.Context(), m, &queue.Recipient{Addr: "x@Example.NET"})
		if err != nil || hop.String() != c.want {
			t.Errorf("%q, %v; want %q", hop, err, c.want)
		}
	}
}

func TestFaultyTables(t *testing.T) {
	site := Site{
		Names:   []string{"relay.example.com"},
		Addrs:   []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("0.0.0.0:2525")},
		Domains: []string{"example.com", "*.corp.example"},
	}
	always, err := ParseSchedule("always", nil)
	if err != nil {
		t.Fatal(err)
	}
	base := func(change func(*Connector)) []Connector {
		c := Connector{Name: "c", Spaces: []string{"*"}}
		change(&c)
		return []Connector{c}
	}
	for want, connectors := range map[string][]Connector{
		"connector number 1: Name: missing":                                      base(func(c *Connector) { c.Name = "" }),
		"connector c\nx: Name: longer than 64 bytes, or with control characters": base(func(c *Connector) { c.Name = "c\nx" }),
		"connector c: Name: another connector has the same name":                 {{Name: "c", Spaces: []string{"*"}}, {Name: "c", Spaces: []string{"x.example"}}},
		"connector d: Name: this connector differs from c only in the name": {
			{Name: "c", Spaces: []string{"*"}, SmartHosts: SmartHosts("a.example")},
			{Name: "d", Spaces: []string{"*"}, SmartHosts: SmartHosts("a.example")}},
		"connector c: Spaces: missing: a connector without address spaces must be RoutedOnly or the Fallback of another one":                                           {{Name: "c"}},
		"connector number 2: Name: missing\nconnector number 2: Spaces: missing: a connector without address spaces must be RoutedOnly or the Fallback of another one": {{Name: "c", Spaces: []string{"*"}}, {}},
		"connector c: Auth: needs SmartHosts: by DNS, the password would be sent to the hosts of any recipient domain":                                                 base(func(c *Connector) { c.Auth = smtpclient.PasswordAuth("u", "p") }),
		"connector c: TLS.Level: is 99: there is no such level":                                                                                                        base(func(c *Connector) { c.TLS = &smtpclient.TLSPolicy{Level: 99} }),
		"connector c: DomainTLS: applies only to domains found by DNS; use TLS for smart hosts": base(func(c *Connector) {
			c.SmartHosts, c.DomainTLS = SmartHosts("a.example"), map[string]smtpclient.TLSPolicy{"x.example": {Level: smtpclient.TLSEncrypt}}
		}),
		"connector c: RoutedOnly: contradicts Spaces, which contains *":                                                                     base(func(c *Connector) { c.RoutedOnly = true }),
		`connector c: Spaces[1]: "*;5" is listed twice`:                                                                                     base(func(c *Connector) { c.Spaces = []string{"*", "*;5"} }),
		`connector c: Spaces[0]: "X400:c=de": the type of an address space can only be SMTP`:                                                base(func(c *Connector) { c.Spaces = []string{"X400:c=de"} }),
		`connector c: Spaces[0]: "*;0": the cost is not a number from 1 to 100`:                                                             base(func(c *Connector) { c.Spaces = []string{"*;0"} }),
		`connector c: Spaces[0]: "a.*.b": * is allowed only alone or as *. before a domain`:                                                 base(func(c *Connector) { c.Spaces = []string{"a.*.b"} }),
		`connector c: Spaces[0]: "a b": "a b" is not a host name`:                                                                           base(func(c *Connector) { c.Spaces = []string{"a b"} }),
		`connector c: Spaces[0]: "": "" is not a host name`:                                                                                 base(func(c *Connector) { c.Spaces = []string{""} }),
		`connector c: Spaces[0]: "[1.2.3]": "[1.2.3]" is not an address literal`:                                                            base(func(c *Connector) { c.Spaces = []string{"[1.2.3]"} }),
		`connector c: Spaces[0]: "example.com" causes a mail loop: the connector delivers by DNS, and the domain is one of Site.Domains`:    base(func(c *Connector) { c.Spaces = []string{"example.com"} }),
		`connector c: Spaces[0]: "a.corp.example" causes a mail loop: the connector delivers by DNS, and the domain is one of Site.Domains`: base(func(c *Connector) { c.Spaces = []string{"a.corp.example"} }),
		`connector c: Spaces[0]: "--" causes a mail loop: the connector delivers by DNS, and this relay is the MX host of example.com`:      base(func(c *Connector) { c.Spaces = []string{"--"} }),
		`connector c: SmartHosts[0]: "192.0.2.256" is neither a host name nor an address`:                                                   base(func(c *Connector) { c.SmartHosts = SmartHosts("192.0.2.256") }),
		`connector c: SmartHosts[0]: "2001:db8::zz" is not a host name`[:40]:                                                                base(func(c *Connector) { c.SmartHosts = SmartHosts("2001:db8::zz") }),
		`connector c: SmartHosts[0]: "127.0.0.1:2525" is this relay, so mail to it would loop`:                                              base(func(c *Connector) { c.SmartHosts = SmartHosts("127.0.0.1:2525") }),
		`connector c: SmartHosts[0]: "a.example:0": the port "0" is not a number from 1 to 65535`:                                           base(func(c *Connector) { c.SmartHosts = SmartHosts("a.example:0") }),
		`connector c: SmartHosts[0]: "" is empty: a host is a name or an address, such as "relay.example.net" or "192.0.2.1:587"`:           base(func(c *Connector) { c.SmartHosts = SmartHosts("") }),
		`connector c: SmartHosts[0]: "Relay.example.com" is this relay, so mail to it would loop`:                                           base(func(c *Connector) { c.SmartHosts = SmartHosts("Relay.example.com") }),
		`connector c: SmartHosts[0]: "[192.0.2.1]" is this relay, so mail to it would loop`:                                                 base(func(c *Connector) { c.SmartHosts = SmartHosts("[192.0.2.1]") }),
		`connector c: SmartHosts[0]: "[127.0.0.1]:2525" is this relay, so mail to it would loop`:                                            base(func(c *Connector) { c.SmartHosts = SmartHosts("[127.0.0.1]:2525") }),
		`connector c: SmartHosts[0]: "a.example": weight -1 is not 1 to 1000`:                                                               base(func(c *Connector) { c.SmartHosts = []SmartHost{{Host: "a.example", Weight: -1}} }),
		`connector c: SmartHosts[0]: "[10.0.0.5]": MX needs a host name, not an address`:                                                    base(func(c *Connector) { c.SmartHosts = []SmartHost{{Host: "[10.0.0.5]", MX: true}} }),
		`connector c: SmartHosts[0]: "unix:": a Unix socket needs a path, and MX must not be set`:                                           base(func(c *Connector) { c.SmartHosts = SmartHosts("unix:") }),
		"connector c: DirectFirst: needs SmartHosts":                                                                                        base(func(c *Connector) { c.DirectFirst = true }),
		"connector c: Port: 70000 is not a port":                                                                                            base(func(c *Connector) { c.Port = 70000 }),
		"connector c: Port: applies only to hosts found by DNS; put the port into SmartHosts":                                               base(func(c *Connector) { c.Port = 26; c.SmartHosts = SmartHosts("a.example") }),
		"connector c: TLS: applies only to SMTP; this Transport ignores it":                                                                 base(func(c *Connector) { c.Transport, c.TLS = &DropDir{Dir: "drop"}, &smtpclient.TLSPolicy{} }),
		`connector c: DomainTLS: * is allowed only alone or as *. before a domain`:                                                          base(func(c *Connector) { c.DomainTLS = map[string]smtpclient.TLSPolicy{"*": {}} }),
		`connector c: AcceptSenders: "@" is not an address`[:26]:                                                                            base(func(c *Connector) { c.AcceptSenders = []string{"@"} }),
		`connector c: Scope.Senders: "a@b@" is not an address`:                                                                              base(func(c *Connector) { c.Scope.Senders = []string{"a@b@"} }),
		"connector c: Scope.Networks[0]: not a network":                                                                                     base(func(c *Connector) { c.Scope.Networks = make([]netip.Prefix, 1) }),
		"connector c: MaxMessageSize: negative":                                                                                             base(func(c *Connector) { c.MaxMessageSize = -1 }),
		"connector c: MaxConcurrency: negative":                                                                                             base(func(c *Connector) { c.MaxConcurrency = -1 }),
		"connector c: Retry[1]: 0s is not a positive duration":                                                                              base(func(c *Connector) { c.Retry = []time.Duration{time.Minute, 0} }),
		"connector c: Expire: negative":                                                                                                     base(func(c *Connector) { c.Expire = -1 }),
		"connector c: Priorities: unknown priority":                                                                                         base(func(c *Connector) { c.Priorities = 8 }),
		"connector c: SystemMessages: unknown value 3":                                                                                      base(func(c *Connector) { c.SystemMessages = 3 }),
		"connector c: Schedule: not made by ParseSchedule":                                                                                  base(func(c *Connector) { c.Schedule = &Schedule{} }),
		"connector c: OversizeSize: missing: OversizeSchedule applies to messages larger than it":                                           base(func(c *Connector) { c.OversizeSchedule = always }),
		"connector c: OversizeSchedule: missing: OversizeSize has no effect without it":                                                     base(func(c *Connector) { c.OversizeSize = 5 }),
		"connector c: OversizeSize: has no effect: MaxMessageSize is 4":                                                                     base(func(c *Connector) { c.OversizeSchedule, c.OversizeSize, c.MaxMessageSize = always, 5, 4 }),
		"connector c: OnDemand: contradicts Hold":                                                                                           base(func(c *Connector) { c.Hold, c.OnDemand = true, true }),
		"connector c: HoldAccounts: has no effect without Hold":                                                                             base(func(c *Connector) { c.HoldAccounts = []string{"x"} }),
		`connector c: Fallback: there is no connector "d"`:                                                                                  base(func(c *Connector) { c.Fallback = "d" }),
		"connector c: Fallback: is a loop: the chain of fallbacks returns to c":                                                             base(func(c *Connector) { c.Fallback = "c" }),
		`connector c: Errors.Downgrade: "450" does not begin with 5`:                                                                        base(func(c *Connector) { c.Errors.Downgrade = []string{"450"} }),
		`connector c: Errors.Upgrade: "4.x.1" is neither a code (550) nor an enhanced code (5.7.1)`:                                         base(func(c *Connector) { c.Errors.Upgrade = []string{"4.x.1"} }),
	} {
		_, err := site.NewTable(connectors...)
		var config *ConfigError
		if !errors.As(err, &config) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestAllFaultsAreReported(t *testing.T) {
	_, err := NewTable(Connector{Name: "a", Spaces: []string{"*;x"}, MaxMessageSize: -1}, Connector{Name: "b"})
	if n := len(strings.Split(err.Error(), "\n")); n != 3 {
		t.Errorf("%d faults, want 3:\n%v", n, err)
	}
	if _, err := (Site{Domains: []string{"no domain"}}).NewTable(); err == nil || !strings.Contains(err.Error(), "(site): Domains") {
		t.Errorf("%v", err)
	}
}

func TestTLSByDomain(t *testing.T) {
	c := Connector{Name: "c", Spaces: []string{"*"}, TLS: &smtpclient.TLSPolicy{Level: smtpclient.TLSEncrypt},
		DomainTLS: map[string]smtpclient.TLSPolicy{
			"example.com": {Level: smtpclient.TLSDANE}, "*.example.com": {Level: smtpclient.TLSNone},
		}}
	tb := table(t, c)
	for domain, want := range map[string]smtpclient.TLSLevel{
		"example.com": smtpclient.TLSDANE, "a.b.example.com": smtpclient.TLSNone, "example.net": smtpclient.TLSEncrypt,
	} {
		if got := tb.connectors[0].tlsFor(domain); got.Level != want {
			t.Errorf("%s: level %d, want %d", domain, got.Level, want)
		}
	}
}

func TestRouteDoesNotAllocate(t *testing.T) {
	r := &Router{Table: table(t,
		Connector{Name: "org", Spaces: []string{"example.com", "*.corp.example.com"}, SmartHosts: SmartHosts("[10.0.0.5]")},
		Connector{Name: "internet", Spaces: []string{"*;10"}})}
	m := &queue.Message{From: "alice@example.com", Content: queue.String("x")}
	for _, to := range []string{"bob@example.com", "bob@a.b.corp.example.com", "bob@example.net"} {
		rcpt := &queue.Recipient{Addr: to}
		if n := testing.AllocsPerRun(100, func() { r.Route(t.Context(), m, rcpt) }); n != 0 {
			t.Errorf("%s: %v allocations", to, n)
		}
	}
}

func FuzzSpace(f *testing.F) {
	for _, s := range []string{"*", "--", "SMTP:*.example.com;5", "example.com", "[192.0.2.1]", "[IPv6:::1];3", "müller.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSpace(text)
		if err != nil {
			return
		}
		if s.cost < 1 || s.cost > maxCost || !s.all && !s.ours && s.domain == "" {
			t.Fatalf("%q: %+v", text, s)
		}
		if s.all || s.ours {
			return
		}
		again, err := parseSpace(map[bool]string{true: "*."}[s.below] + s.domain)
		if err != nil || again.domain != s.domain || again.below != s.below {
			t.Fatalf("%q: %q is not canonical: %+v, %v", text, s.domain, again, err)
		}
	})
}

func TestSmartHostAddr(t *testing.T) {
	for host, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1:2525": "192.0.2.1", "[192.0.2.1]": "192.0.2.1", "2001:db8::1": "2001:db8::1",
		"[2001:db8::1]:25": "2001:db8::1", "a.example": "", "192.0.2.1:0": "", "unix:/run/lmtp": "", "": "",
	} {
		a, ok := SmartHost{Host: host}.Addr()
		if ok != (want != "") || ok && a.String() != want {
			t.Errorf("%q: %v, %v", host, a, ok)
		}
	}
}

func FuzzSmartHost(f *testing.F) {
	for _, s := range []string{"a.example", "a.example:587", "[192.0.2.1]:25", "[IPv6:2001:db8::1]", "unix:/run/lmtp", "::1"} {
		f.Add(s, false)
	}
	f.Add("example.org", true)
	f.Fuzz(func(t *testing.T, text string, mx bool) {
		h, err := parseSmartHost(SmartHost{Host: text, MX: mx})
		if err != nil {
			return
		}
		if h.socket == "" && (h.port == 0 || h.name == "") {
			t.Fatalf("%q: %+v", text, h)
		}
		again, err := parseSmartHost(SmartHost{Host: trimMX(h.String()), MX: h.mx})
		if err != nil || again != h {
			t.Fatalf("%q: %q reads as %+v, %v; want %+v", text, h.String(), again, err, h)
		}
	})
}

func trimMX(s string) string { return strings.TrimPrefix(s, "mx:") }

func FuzzSenders(f *testing.F) {
	f.Add("user@example.com", "user@example.com")
	f.Add("*.example.com", "a@b.example.com")
	f.Add("<>", "")
	f.Fuzz(func(t *testing.T, pattern, from string) {
		if s, err := parseSenders([]string{pattern}); err == nil {
			s.has(from)
		}
	})
}

// The queue name of many smart hosts is short and unique.
func TestNameOfManyHosts(t *testing.T) {
	many := func(last string) string {
		hosts := SmartHosts(strings.Fields(strings.Repeat("relay.example.net ", 20))...)
		tb := table(t, Connector{Name: "c", Spaces: []string{"*"}, SmartHosts: append(hosts, SmartHosts(last)...)})
		hop, err := (&Router{Table: tb}).Route(t.Context(), &queue.Message{}, &queue.Recipient{Addr: "a@example.net"})
		if err != nil || len(hop.Destination) > 100 || !strings.HasPrefix(hop.Destination, "relay.example.net and 20 more") {
			t.Errorf("%v, %v", hop, err)
		}
		return hop.Destination
	}
	a, again, b := many("a.example.net"), many("a.example.net"), many("b.example.net")
	if a == b || a != again {
		t.Error("two sets of hosts have one name, or one has two")
	}
}
