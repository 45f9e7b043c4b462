package routing

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Each recipient that the receive side and the queue accept is a valid address
// for the Router. Otherwise the sender would get a report for an error that
// RCPT could have detected.
func FuzzAcceptedAddress(f *testing.F) {
	for _, s := range []string{
		"bob@example.net", "bob@EXAMPLE.net.", "bob@r3---sn-x.example", "bob@xn--a.example", "bob@xn--99zzzz.example",
		"bob@-a-.example", "bob@_x.example", "bob@bücher.example", "bob@r3---sn-x.bücher。example。", "bob@[192.0.2.1]",
		"bob@[IPv6:2001:db8::1]", "bob@[IPv6:::ffff:192.0.2.1]", "bob@[IPv6:::ffff:c000:201]", "bob@[ipv6:::1]",
		`"a@b"@example.net`, "bob@2130706433", "bob@192.0.2.1", "bob@localhost", "a..b@example.net", "jörg@example.net",
		"bob@x\uff1e\u3000y.example", "bob@" + strings.Repeat("a", 64) + ".example", "@a:bob@example.net", "bob@a..b",
	} {
		f.Add(s)
	}
	table, err := NewTable(Connector{Name: "all", Spaces: []string{"*"}})
	if err != nil {
		f.Fatal(err)
	}
	r := &Router{Table: table, Hostname: "relay.example.com"}
	f.Cleanup(func() { r.Close() })
	f.Fuzz(func(t *testing.T, s string) {
		for _, smtputf8 := range []bool{false, true} {
			to, _, err := addr.ForwardPath("<"+s+">", smtputf8)
			if err != nil || strings.EqualFold(to, "postmaster") {
				continue
			}
			if problem := addr.NotOnWire(to); problem != "" {
				t.Fatalf("RCPT accepts %q, which %s", to, problem)
			}
			hop, err := r.Route(t.Context(), &queue.Message{ID: "1", From: "a@example.com"}, queue.Rcpt(to)[0])
			if err != nil {
				t.Fatalf("RCPT accepts %q, then: %v", to, err)
			}
			// A mail for an address literal goes to that address.
			if strings.HasPrefix(hop.Destination, "[") {
				if _, err := parseLiteral(hop.Destination); err != nil {
					t.Fatalf("%q leads to %q: %v", to, hop.Destination, err)
				}
			}
			if hop.Destination == "" || strings.ContainsAny(hop.Destination, " >=;@") {
				t.Fatalf("%q leads to %q", to, hop.Destination)
			}
		}
	})
}

// An IPv4-mapped literal is the same as the IPv4 address, also for the
// addresses of this relay.
func TestMappedLiteral(t *testing.T) {
	table, err := NewTable(Connector{Name: "v4", Spaces: []string{"[192.0.2.1]"}}, Connector{Name: "all", Spaces: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &Router{Table: table, Hostname: "relay.example.com"}
	defer r.Close()
	for _, to := range []string{"bob@[192.0.2.1]", "bob@[IPv6:::ffff:192.0.2.1]", "bob@[ipv6:::FFFF:c000:201]"} {
		hop, err := r.Route(t.Context(), &queue.Message{ID: "1"}, queue.Rcpt(to)[0])
		if err != nil || hop.Connector != "v4" || hop.Destination != "[192.0.2.1]" {
			t.Errorf("%s: %v, %v", to, hop, err)
		}
	}
	f := &finder{port: 25, isName: func(string) bool { return false }, isAddr: func(netip.AddrPort) bool { return false }}
	if _, err := f.domain(t.Context(), "[ipv6:::ffff:127.0.0.1]"); err == nil || !strings.Contains(err.Error(), "loop") {
		t.Errorf("a mapped loopback address: %v", err)
	}
}

// Host names that UTS 46 refuses are accepted in every setting.
func TestHostNamesThatIDNARefuses(t *testing.T) {
	for _, name := range []string{"pr--7.example", "r3---sn-x.example", "xn--a.example", "xn--99zzzz.example", "-a-.example", "a_b.example"} {
		_, err := NewTable(Connector{Name: "c", Spaces: []string{name, "*." + name, "smtp:" + strings.ToUpper("x."+name) + ";5"}, SmartHosts: SmartHosts(name, name+":26"),
			AcceptSenders: []string{"a@" + name, name}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d, err := canonicalDomain("bob@" + strings.ToUpper(name)); err != nil || d != name {
			t.Errorf("%s: %q, %v", name, d, err)
		}
	}
	for _, bad := range []string{"a\uff1eb.example", "a\u3000b.example", "a b.example", "a..example", strings.Repeat("a", 64) + ".example"} {
		if _, err := NewTable(Connector{Name: "c", Spaces: []string{bad}}); err == nil {
			t.Errorf("address space %q: no error", bad)
		}
		if _, err := NewTable(Connector{Name: "c", Spaces: []string{"*"}, SmartHosts: SmartHosts(bad)}); err == nil {
			t.Errorf("smart host %q: no error", bad)
		}
	}
}
