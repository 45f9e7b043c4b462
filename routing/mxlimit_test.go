package routing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

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

// manyMX returns the records of a domain with n MX hosts, each with an
// address, and more records.
func manyMX(n int, pref func(i int) int, more string) string {
	var zone strings.Builder
	for i := range n {
		fmt.Fprintf(&zone, "many.example. MX %d h%d.example.\nh%[2]d.example. A 192.0.3.%[2]d\n", pref(i), i)
	}
	return zone.String() + more
}

func equal(int) int       { return 10 }
func ascending(i int) int { return i }

// The limit on MX hosts applies after this relay was searched among all of
// them: mail is never sent to a host that is no better (RFC 5321, 5.1).
func TestThisRelayAmongManyHosts(t *testing.T) {
	for _, c := range []struct {
		what, zone string
		hosts      int // that may be tried; 0: the mail loops
	}{
		{"by name, of equal preference", manyMX(30, equal, "many.example. MX 10 relay.example."), 0},
		{"by address, of equal preference", manyMX(30, equal, "many.example. MX 10 nick.example.\nnick.example. A 192.0.2.99"), 0},
		{"by an alias, of equal preference", manyMX(30, equal, "many.example. MX 10 nick.example.\nnick.example. CNAME self.example.\nself.example. A 192.0.2.99"), 0},
		{"by name, last", manyMX(30, ascending, "many.example. MX 99 relay.example."), maxHosts},
		{"by name, fifth", manyMX(30, ascending, "many.example. MX 4 relay.example."), 4},
		{"by address, fifth", manyMX(30, ascending, "many.example. MX 4 nick.example.\nnick.example. A 192.0.2.99"), 4},
		{"by name, twentieth", manyMX(30, func(i int) int { return i / 20 }, "many.example. MX 1 relay.example."), maxHosts},
		{"by name, first", manyMX(200, ascending, "many.example. MX 0 relay.example."), 0},
		{"not at all", manyMX(30, equal, ""), maxHosts},
	} {
		for _, strict := range []bool{false, true} {
			s, _ := inMemory(t, c.zone)
			f := testFinder(t, s)
			f.strict = strict
			for range 5 { // equals are shuffled
				hosts, err := f.domain(t.Context(), "many.example")
				var loop *LoopError
				if len(hosts) != c.hosts || (c.hosts == 0) != errors.As(err, &loop) {
					t.Errorf("%s, strict %v: %d hosts, %v; want %d", c.what, strict, len(hosts), err, c.hosts)
				}
			}
		}
	}
}

// Unusable hosts do not count for the limit: a usable host after them is
// found.
func TestUsableHostAfterManyOthers(t *testing.T) {
	for _, pref := range []func(int) int{equal, ascending} {
		s, _ := inMemory(t, manyMX(30, pref, "many.example. MX 99 good.example.\ngood.example. A 192.0.2.1"))
		for i := range 30 {
			s.Fault(fmt.Sprintf("h%d.example", i), "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
		}
		hosts, err := testFinder(t, s).domain(t.Context(), "many.example")
		if err != nil || describe(hosts) != "good.example=192.0.2.1:25" {
			t.Errorf("%s, %v", describe(hosts), err)
		}
	}
}

// The number of lookups for one domain is bounded.
func TestLookupsOfManyHostsAreBounded(t *testing.T) {
	asked := make(chan string, 10*maxLookups)
	f := testFinder(t, nil)
	f.resolver = ResolverFunc(func(_ context.Context, name string, qtype RecordType) (*Answer, error) {
		if qtype == TypeMX {
			a := &Answer{Name: name}
			for i := range 2000 {
				a.MX = append(a.MX, MX{Preference: 10, Host: fmt.Sprintf("h%d.example", i)})
			}
			return a, nil
		}
		asked <- name
		return nil, dnsError(DNSFailure, name, qtype, "")
	})
	if hosts, err := f.domain(t.Context(), "many.example"); err == nil {
		t.Errorf("%v", hosts)
	}
	if n := len(asked); n != 2*maxLookups {
		t.Errorf("%d lookups, want %d", n, 2*maxLookups)
	}
}
