package routing

import (
	"errors"
	"slices"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

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
		{hosts: SmartHosts("failing.example"), err: "451 4.4.3 failing.example: DNS lookup failed (SERVFAIL)"},
		{hosts: SmartHosts("failing.example", "nowhere.example"), err: "451 4.4.3 failing.example: DNS lookup failed (SERVFAIL)"},
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
