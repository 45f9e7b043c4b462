package resolver

import (
	"net/netip"
	"strings"
	"testing"
)

func TestReverseName(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.1":        "1.2.0.192.in-addr.arpa",
		"::ffff:192.0.2.1": "1.2.0.192.in-addr.arpa",
		"2001:db8::1":      "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		a := netip.MustParseAddr(ip)
		if got := ReverseName(a); got != want {
			t.Errorf("%s: %s", ip, got)
		}
		if got, ok := reverseAddr(strings.ToUpper(want)); !ok || got != a.Unmap() {
			t.Errorf("%s: back to %v, %v", ip, got, ok)
		}
	}
}

// Only the name of a whole address is one.
func TestNotAReverseName(t *testing.T) {
	for _, name := range []string{
		"", "example.net", "in-addr.arpa", "2.0.192.in-addr.arpa", "0.1.2.0.192.in-addr.arpa", "256.2.0.192.in-addr.arpa",
		"01.2.0.192.in-addr.arpa", "+1.2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa.example", "0/25.2.0.192.in-addr.arpa",
		"10.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "1.0.0.2.ip6.arpa",
	} {
		if a, ok := reverseAddr(name); ok {
			t.Errorf("%s: %v", name, a)
		}
	}
}

func FuzzReverseName(f *testing.F) {
	f.Add("1.2.0.192.in-addr.arpa")
	f.Add(ReverseName(netip.MustParseAddr("2001:db8::1")))
	f.Fuzz(func(t *testing.T, name string) {
		if a, ok := reverseAddr(name); ok && !strings.EqualFold(ReverseName(a), name) {
			t.Errorf("%q is %v, whose name is %s", name, a, ReverseName(a))
		}
	})
}
