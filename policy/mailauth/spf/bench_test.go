package spf

import (
	"net/netip"
	"testing"
)

// The policy is typical of a domain with hosted mail: two includes and an mx.
func BenchmarkCheck(b *testing.B) {
	checker := &Checker{Resolver: suiteZone{
		"example.org":       {{Type: "TXT", Data: "v=spf1 mx include:_spf.host.example include:_spf.news.example ip4:203.0.113.0/24 ~all"}, {Type: "MX", Data: "mx.host.example"}},
		"mx.host.example":   {{Type: "A", Data: "198.51.100.1"}},
		"_spf.host.example": {{Type: "TXT", Data: "v=spf1 ip4:198.51.100.0/25 ip6:2001:db8::/32 -all"}},
		"_spf.news.example": {{Type: "TXT", Data: "v=spf1 ip4:198.51.100.128/25 ip4:192.0.2.0/24 -all"}},
	}}
	ip := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		if v := checker.Check(b.Context(), ip, "mx.news.example", "bounce@example.org"); v.Result != Pass {
			b.Fatal(v.Result, v.Err)
		}
	}
}
