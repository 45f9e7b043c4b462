package routing

import (
	"errors"
	"fmt"
	"net/netip"
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
	strange.example.    MX 10 r3---sn-x.example.
	strange.example.    MX 20 xn--a.example.
	r3---sn-x.example.  A 192.0.2.31
	xn--a.example.      A 192.0.2.32
	nohost.example.     MX 10 a\032b.example.
	nohost.example.     MX 20 a.example.
	onlynohost.example. MX 10 a\@b.example.
	there.example.      MX 10 a.example.
	there.example.      MX 20 localhost.
`

// testFinder returns a finder of a relay relay.example at 192.0.2.99.
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
		{domain: "strange.example", hosts: "r3---sn-x.example=192.0.2.31:25 xn--a.example=192.0.2.32:25"},
		{domain: "r3---sn-x.example", hosts: "r3---sn-x.example=192.0.2.31:25"},
		{domain: "nohost.example", hosts: "a.example=192.0.2.1:25"},
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
		{domain: "onlynohost.example", err: "550 5.4.4 onlynohost.example: no host with an address"},
		{domain: "broken.example", err: "451 4.4.3 failing.example: DNS lookup failed (SERVFAIL)"},
		{domain: "down.example", err: "451 4.4.3 down.example: DNS lookup failed (SERVFAIL)"},
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
