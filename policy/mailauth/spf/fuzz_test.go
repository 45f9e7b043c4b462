package spf

import (
	"net/netip"
	"testing"
)

// No record causes a panic, a result other than the seven, or more than the
// allowed number of DNS queries.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"v=spf1 a:%{d2}.example/24//64 mx/0 -all", "v=spf1 include:%{lr-}.x.%{o} redirect=%{ir}.%{v}.y",
		"v=spf1 exists:%{p3r+}.z exp=%{h} ?ip6:::/0", "v=spf1 ip4:1.2.3.4/ a//", "v=spf1 %", "v=spf1 x=%{S0}",
		"v=spf1 ptr:example.com exp=example.org -all",
	} {
		f.Add(s, "strong-bad@example.org")
	}
	f.Fuzz(func(t *testing.T, txt, from string) {
		zone := suiteZone{"host.example.org": {{Type: "A", Data: "203.0.113.1"}}, "1.2.0.192.in-addr.arpa": {{Type: "PTR", Data: "host.example.org"}}}
		for _, name := range []string{"example.org", "x.example.org", "example.com"} {
			zone[name] = []suiteRecord{{Type: "TXT", Data: txt}, {Type: "MX", Data: "host.example.org"}}
		}
		e := &evaluation{ctx: t.Context(), resolver: zone, ip: netip.MustParseAddr("192.0.2.1"), local: from, domain: "example.org"}
		o := e.checkHost("example.org")
		switch o.result {
		case None, Neutral, Pass, Fail, SoftFail, TempError, PermError:
		default:
			t.Errorf("result %q", o.result)
		}
		if e.lookups > maxLookups+1 {
			t.Errorf("%d terms", e.lookups)
		}
		if s := e.explain(o.exp, o.domain); len(s) > maxExplanation {
			t.Errorf("explanation of %d octets", len(s))
		}
	})
}
