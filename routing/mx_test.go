package routing

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

const mxWorld = `
	plain.example.      MX 10 a.example.
	plain.example.      MX 20 b.example.
	a.example.          A    192.0.2.1
	b.example.          A    192.0.2.2
	b.example.          AAAA 2001:db8::2
	implicit.example.   A    192.0.2.3
	null.example.       MX 0 .
	half.example.       MX 0 .
	half.example.       MX 10 a.example.
	nothing.example.    TXT "no host"
	hollow.example.     MX 10 nothing.example.
	hollow.example.     MX 20 nowhere.example.
	partly.example.     MX 10 nowhere.example.
	partly.example.     MX 20 a.example.
	aliased.example.    CNAME plain.example.
	mxalias.example.    MX 10 alias.example.
	alias.example.      CNAME a.example.
	byaddr.example.     MX 10 192.0.2.9.
	broken.example.     MX 10 failing.example.
	halfbroken.example. MX 10 failing.example.
	halfbroken.example. MX 20 a.example.
	best.example.       MX 10 relay.example.
	best.example.       MX 20 a.example.
	backup.example.     MX 10 a.example.
	backup.example.     MX 20 relay.example.
	backup.example.     MX 20 b.example.
	backup.example.     MX 30 b.example.
	byip.example.       MX 10 other.example.
	other.example.      A 192.0.2.99
	relay.example.      A 192.0.2.98
	unreal.example.     A 0.0.0.0
	mapped.example.     AAAA ::ffff:0.0.0.0
	group.example.      A 224.0.0.1
	here.example.       MX 10 localhost.
	herev6.example.     AAAA ::ffff:127.0.0.1
	there.example.      MX 10 a.example.
	there.example.      MX 20 localhost.
`

// testFinder is a finder of a relay called relay.example at 192.0.2.99.
func testFinder(t *testing.T, s *dnstest.Server) *finder {
	t.Helper()
	return &finder{
		resolver: &DNSResolver{Servers: []string{"ns"}, Dial: s.Dial, TrustAD: true},
		port:     25,
		isName:   func(n string) bool { return n == "relay.example" },
		isAddr:   func(a netip.AddrPort) bool { return a.Addr() == netip.MustParseAddr("192.0.2.99") },
	}
}

func describe(hosts []smtpclient.Host) string {
	var parts []string
	for _, h := range hosts {
		for _, a := range h.Addrs {
			parts = append(parts, h.Name+"="+a.String())
		}
		if h.Socket != "" {
			parts = append(parts, h.Name+"="+h.Socket)
		}
	}
	return strings.Join(parts, " ")
}

func TestHostsOfADomain(t *testing.T) {
	s, _ := inMemory(t, mxWorld)
	s.Fault("failing.example", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	s.Fault("down.example", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	f := testFinder(t, s)
	for _, c := range []struct{ domain, hosts, err string }{
		{domain: "plain.example", hosts: "a.example=192.0.2.1:25 b.example=[2001:db8::2]:25 b.example=192.0.2.2:25"},
		{domain: "implicit.example", hosts: "implicit.example=192.0.2.3:25"},
		{domain: "half.example", hosts: "a.example=192.0.2.1:25"},
		{domain: "partly.example", hosts: "a.example=192.0.2.1:25"},
		{domain: "aliased.example", hosts: "a.example=192.0.2.1:25 b.example=[2001:db8::2]:25 b.example=192.0.2.2:25"},
		{domain: "mxalias.example", hosts: "alias.example=192.0.2.1:25"},
		{domain: "halfbroken.example", hosts: "a.example=192.0.2.1:25"},
		{domain: "backup.example", hosts: "a.example=192.0.2.1:25"},
		{domain: "[192.0.2.7]", hosts: "[192.0.2.7]=192.0.2.7:25"},
		{domain: "[ipv6:2001:db8::7]", hosts: "[IPv6:2001:db8::7]=[2001:db8::7]:25"},

		{domain: "nowhere.example", err: "550 5.1.2 nowhere.example: no such domain"},
		{domain: "nothing.example", err: "550 5.4.4 nothing.example: no host with an address"},
		{domain: "null.example", err: "556 5.1.10 null.example: the domain accepts no mail (null MX)"},
		{domain: "hollow.example", err: "550 5.4.4 hollow.example: no host with an address"},
		{domain: "unreal.example", err: "550 5.4.4 unreal.example: no host with an address"},
		{domain: "mapped.example", err: "550 5.4.4 mapped.example: no host with an address"},
		{domain: "group.example", err: "550 5.4.4 group.example: no host with an address"},
		{domain: "herev6.example", err: "550 5.4.6 Mail for herev6.example loops back to this relay"},
		{domain: "[0.0.0.0]", err: "550 5.4.4 [0.0.0.0]: no host with an address"},
		{domain: "[IPv6:::]", err: "550 5.4.4 [IPv6:::]: no host with an address"},
		{domain: "[224.0.0.1]", err: "550 5.4.4 [224.0.0.1]: no host with an address"},
		{domain: "byaddr.example", err: "550 5.4.0 192.0.2.9: the MX record names an IP address instead of a host"},
		{domain: "broken.example", err: "451 4.4.3 failing.example: the DNS failed (SERVFAIL)"},
		{domain: "down.example", err: "451 4.4.3 down.example: the DNS failed (SERVFAIL)"},
		{domain: "best.example", err: "550 5.4.6 Mail for best.example loops back to this relay"},
		{domain: "byip.example", err: "550 5.4.6 Mail for byip.example loops back to this relay"},
		{domain: "here.example", err: "550 5.4.6 Mail for here.example loops back to this relay"},
		{domain: "[127.0.0.1]", err: "550 5.4.6 Mail for [127.0.0.1] loops back to this relay"},
		{domain: "there.example", hosts: "a.example=192.0.2.1:25"},
		{domain: "[192.0.2.99]", err: "550 5.4.6 Mail for [192.0.2.99] loops back to this relay"},
	} {
		hosts, err := f.domain(t.Context(), c.domain)
		if got := describe(hosts); got != c.hosts {
			t.Errorf("%s: hosts %q, want %q (%v)", c.domain, got, c.hosts, err)
		}
		var reply *smtp.SMTPError
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", c.domain, err)
		case c.err != "" && !errors.As(err, &reply):
			t.Errorf("%s: %v is no reply; want %s", c.domain, err, c.err)
		case c.err != "" && code(reply)+" "+reply.Message != c.err:
			t.Errorf("%s: %s %s; want %s", c.domain, code(reply), reply.Message, c.err)
		}
	}
}

func TestStrictMXRefusesAliases(t *testing.T) {
	s, _ := inMemory(t, mxWorld)
	f := testFinder(t, s)
	f.strict = true
	_, err := f.domain(t.Context(), "mxalias.example")
	var e *DNSError
	if !errors.As(err, &e) || e.Problem != MXAlias || code(e.SMTP()) != "550 5.4.0" {
		t.Errorf("%v", err)
	}
	if _, err := f.domain(t.Context(), "aliased.example"); err != nil {
		t.Errorf("a domain may be an alias: %v", err)
	}
}

func TestEqualPreferencesAreShuffled(t *testing.T) {
	var zone strings.Builder
	for i := range 4 {
		fmt.Fprintf(&zone, "many.example. MX 10 h%d.example.\nh%d.example. A 192.0.2.%d\n", i, i, i+1)
		fmt.Fprintf(&zone, "multi.example. A 192.0.2.%d\n", i+1)
	}
	zone.WriteString("many.example. MX 5 first.example.\nfirst.example. A 192.0.2.50\n")
	zone.WriteString("many.example. MX 15 last.example.\nlast.example. A 192.0.2.51\n")
	s, _ := inMemory(t, zone.String())
	f := testFinder(t, s)
	orders, rotations := map[string]bool{}, map[string]bool{}
	for range 200 {
		hosts, err := f.domain(t.Context(), "many.example")
		if err != nil || len(hosts) != 6 || hosts[0].Name != "first.example" || hosts[5].Name != "last.example" {
			t.Fatalf("%s, %v", describe(hosts), err)
		}
		orders[describe(hosts)] = true
		if hosts, err = f.domain(t.Context(), "multi.example"); err != nil {
			t.Fatal(err)
		}
		rotations[describe(hosts)] = true
	}
	if len(orders) < 12 { // 4! orders; 200 draws miss half of them in no lifetime
		t.Errorf("only %d orders of equal hosts", len(orders))
	}
	if len(rotations) < 12 {
		t.Errorf("only %d orders of a host's addresses", len(rotations))
	}
}

func TestManyHostsAreBounded(t *testing.T) {
	var zone strings.Builder
	for i := range 40 {
		fmt.Fprintf(&zone, "many.example. MX %d h.example.\nh.example. A 192.0.2.%d\nh.example. AAAA 2001:db8::%x\n", i, i+1, i+1)
	}
	s, _ := inMemory(t, zone.String())
	hosts, err := testFinder(t, s).domain(t.Context(), "many.example")
	if err != nil || len(hosts) != maxHosts || len(hosts[0].Addrs) != maxAddrs {
		t.Errorf("%d hosts with %d addresses, %v", len(hosts), len(hosts[0].Addrs), err)
	}
}

func TestDANEAnswers(t *testing.T) {
	const tlsa = "3 1 1 0000000000000000000000000000000000000000000000000000000000000001"
	s, _ := inMemory(t, `
		good.signed.       MX 10 mx.signed.
		mx.signed.         A  192.0.2.1
		_25._tcp.mx.signed. TLSA `+tlsa+`
		good.unsigned.     MX 10 mx.signed.
		away.signed.       MX 10 mx.unsigned.
		mx.unsigned.       A  192.0.2.2
		_25._tcp.mx.unsigned. TLSA `+tlsa+`
		bare.signed.       MX 10 bare-mx.signed.
		bare-mx.signed.    A  192.0.2.3
		ill.signed.        MX 10 ill-mx.signed.
		ill-mx.signed.     A  192.0.2.4
		implicit.signed.   A  192.0.2.5
		_25._tcp.implicit.signed. TLSA `+tlsa+`
		aliased.signed.    MX 10 alias.signed.
		alias.signed.      CNAME mx.signed.
		aliased2.signed.   MX 10 alias2.signed.
		alias2.signed.     CNAME bare-mx.signed.
		_25._tcp.alias2.signed. TLSA `+tlsa+`
		outward.signed.    MX 10 out.signed.
		out.signed.        CNAME mx.unsigned.
		_25._tcp.out.signed. TLSA `+tlsa+`
		nickname.signed.   CNAME good.signed.
	`)
	s.Secure("signed")
	s.Fault("_25._tcp.ill-mx.signed", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	f := testFinder(t, s)
	for domain, want := range map[string]string{
		"good.signed":     "mx.signed good.signed",
		"good.unsigned":   "none",
		"away.signed":     "none",
		"bare.signed":     "none",
		"ill.signed":      "error",
		"implicit.signed": "implicit.signed",
		"aliased.signed":  "mx.signed aliased.signed alias.signed",
		"aliased2.signed": "alias2.signed aliased2.signed",
		"outward.signed":  "out.signed outward.signed",
		"nickname.signed": "mx.signed nickname.signed good.signed",
	} {
		hosts, err := f.domain(t.Context(), domain)
		if err != nil || len(hosts) != 1 {
			t.Errorf("%s: %v, %v", domain, hosts, err)
			continue
		}
		got := "none"
		if a := hosts[0].DANE; a != nil && a.Err != nil {
			got = "error"
		} else if a != nil {
			got = strings.Join(a.Names, " ")
			if len(a.Records) != 1 || len(a.Records[0].Data) != 32 || a.Records[0].Usage != 3 {
				t.Errorf("%s: records %v", domain, a.Records)
			}
		}
		if got != want {
			t.Errorf("%s: DANE %s, want %s", domain, got, want)
		}
	}
	f.resolver = &DNSResolver{Servers: []string{"ns"}, Dial: s.Dial}
	if hosts, err := f.domain(t.Context(), "good.signed"); err != nil || hosts[0].DANE != nil {
		t.Errorf("without TrustAD: %v, %v", hosts, err)
	}
	if s.Count("_25._tcp.mx.unsigned", "") != 0 {
		t.Error("TLSA was asked for where nothing was authenticated")
	}
}

func TestSmartHosts(t *testing.T) {
	s, _ := inMemory(t, mxWorld)
	s.Fault("failing.example", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	f := testFinder(t, s)
	for _, c := range []struct {
		hosts     []SmartHost
		want, err string
	}{
		{hosts: SmartHosts("a.example:587"), want: "a.example=192.0.2.1:587"},
		{hosts: SmartHosts("[192.0.2.5]:2525"), want: "[192.0.2.5]=192.0.2.5:2525"},
		{hosts: SmartHosts("192.0.2.5:2525"), want: "[192.0.2.5]=192.0.2.5:2525"},
		{hosts: SmartHosts("2001:db8::5"), want: "[IPv6:2001:db8::5]=[2001:db8::5]:25"},
		{hosts: SmartHosts("[2001:db8::5]"), want: "[IPv6:2001:db8::5]=[2001:db8::5]:25"},
		{hosts: SmartHosts("[127.0.0.1]"), want: "[127.0.0.1]=127.0.0.1:25"},
		{hosts: SmartHosts("localhost"), want: "localhost=[::1]:25 localhost=127.0.0.1:25"},
		{hosts: SmartHosts("unix:/run/lmtp"), want: "localhost=/run/lmtp"},
		{hosts: []SmartHost{{Host: "plain.example:26", MX: true}},
			want: "a.example=192.0.2.1:26 b.example=[2001:db8::2]:26 b.example=192.0.2.2:26"},
		{hosts: []SmartHost{{Host: "b.example", Preference: 2}, {Host: "a.example", Preference: 1}},
			want: "a.example=192.0.2.1:25 b.example=[2001:db8::2]:25 b.example=192.0.2.2:25"},
		{hosts: SmartHosts("nowhere.example", "a.example"), want: "a.example=192.0.2.1:25"},
		{hosts: SmartHosts("other.example", "a.example"), want: "a.example=192.0.2.1:25"},
		{hosts: SmartHosts("relay.example"), want: "relay.example=192.0.2.98:25"}, // our name, in another view of the DNS
		{hosts: SmartHosts("relay.example:587"), want: "relay.example=192.0.2.98:587"},
		{hosts: SmartHosts("nowhere.example"), err: "451 4.4.0 Smart host not found in the DNS"},
		{hosts: SmartHosts("failing.example"), err: "451 4.4.3 failing.example: the DNS failed (SERVFAIL)"},
		{hosts: SmartHosts("failing.example", "nowhere.example"), err: "451 4.4.3 failing.example: the DNS failed (SERVFAIL)"},
		{hosts: SmartHosts("other.example"), err: "550 5.3.5 Configured to loop to itself: smart host other.example"},
		{hosts: SmartHosts("[192.0.2.99]"), err: "550 5.3.5 Configured to loop to itself: smart host [192.0.2.99]"},
	} {
		table, err := NewTable(Connector{Name: "x", Spaces: []string{"*"}, SmartHosts: c.hosts})
		if err != nil {
			t.Fatal(err)
		}
		hosts, err := f.smartHosts(t.Context(), table.connectors[0])
		var reply *smtp.SMTPError
		switch {
		case describe(hosts) != c.want:
			t.Errorf("%v: %q, want %q (%v)", c.hosts, describe(hosts), c.want, err)
		case c.err != "" && (!errors.As(err, &reply) || code(reply)+" "+reply.Message != c.err):
			t.Errorf("%v: %v, want %s", c.hosts, err, c.err)
		}
	}
}

func TestSmartHostNotFoundMayFail(t *testing.T) {
	s, _ := inMemory(t, mxWorld)
	c := Connector{Name: "x", Spaces: []string{"*"}, SmartHosts: SmartHosts("nowhere.example")}
	c.Errors.FailSmartHosts = true
	table, err := NewTable(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = testFinder(t, s).smartHosts(t.Context(), table.connectors[0])
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || code(reply) != "550 5.4.0" {
		t.Errorf("%v", err)
	}
}

func TestSmartHostsAreBalancedByWeight(t *testing.T) {
	hosts := []smartHost{{name: "light", weight: 1}, {name: "heavy", weight: 3}, {name: "spare", pref: 1, weight: 1000}}
	first := map[string]int{}
	for range 4000 {
		order := balanced(hosts)
		if len(order) != 3 || order[2].name != "spare" {
			t.Fatalf("%v", order)
		}
		first[order[0].name]++
	}
	// 3000 expected, with a standard deviation of 27.
	if n := first["heavy"]; n < 2700 || n > 3300 {
		t.Errorf("the heavy host came first %d times of 4000, want about 3000", n)
	}
	if !slices.EqualFunc(hosts, []string{"light", "heavy", "spare"}, func(h smartHost, n string) bool { return h.name == n }) {
		t.Error("the connector's own list was changed")
	}
}
