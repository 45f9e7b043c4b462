package spf

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// newChecker returns a Checker that uses a *net.Resolver and an in-memory DNS
// server.
func newChecker(t *testing.T, zones ...string) (*Checker, *dnstest.Server) {
	t.Helper()
	dns, err := dnstest.InMemory(zones...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dns.Close() })
	return &Checker{Resolver: &resolver.Net{Resolver: &net.Resolver{PreferGo: true, Dial: dns.Dial}}, Receiver: "mx.example.com"}, dns
}

// There is one table for each category of the RFC's test suite, in its order. If
// err is set, Verdict.Err must contain it.
func TestCheck(t *testing.T) {
	type check struct{ ip, helo, from, want, term, err string }
	for _, category := range []struct {
		name, zone string
		checks     []check
	}{
		{"initial processing", `
			example.org.        TXT "v=spf1 ip4:192.0.2.1 -all"
			helo.example.org.   TXT "v=spf1 ip4:192.0.2.2 -all"
			xn--bcher-kva.example. TXT "v=spf1 ip4:192.0.2.1 -all"
			who.example.org.    TXT "v=spf1 exists:%{l}.at.example.org -all"
			postmaster.at.example.org. A 127.0.0.2`, []check{
			{"192.0.2.1", "h.example.org", "alice@example.org", "pass", "ip4:192.0.2.1", ""},
			{"192.0.2.9", "h.example.org", "alice@example.org", "fail", "-all", ""},
			{"::ffff:192.0.2.1", "h.example.org", "alice@example.org", "pass", "ip4:192.0.2.1", ""},
			{"192.0.2.1", "h.example.org", `"a@b"@EXAMPLE.org.`, "pass", "ip4:192.0.2.1", ""},
			{"192.0.2.1", "h.example.org", "josé@bücher.example", "pass", "ip4:192.0.2.1", ""},
			{"192.0.2.2", "helo.example.org", "", "pass", "ip4:192.0.2.2", ""},
			{"192.0.2.2", "[192.0.2.2]", "", "none", "", "not a valid domain name"},
			{"192.0.2.2", "localhost", "", "none", "", "not a valid domain name"},
			{"192.0.2.1", "h.example.org", "a@..example.org", "none", "", "not a valid domain name"},
			{"192.0.2.1", "h.example.org", "a@" + strings.Repeat("a", 64) + ".example.org", "none", "", "not a valid domain name"},
			{"192.0.2.1", "h.example.org", "@who.example.org", "pass", "exists:%{l}.at.example.org", ""},
		}},
		{"record lookup and selection", `
			none.example.    TXT "v=spf10 -all"
			none.example.    TXT "unrelated"
			case.example.    TXT "V=SPF1 -ALL"
			bare.example.    TXT "v=spf1"
			two.example.     TXT "v=spf1 -all"
			two.example.     TXT "v=spf1 +all"
			parts.example.   TXT "v=spf1 ip4:192.0" ".2.1 -all"
			other.example.   A 192.0.2.1
			space.example.   TXT "v=spf1   -all  "
			early.example.   TXT " v=spf1 -all"`, []check{
			{"192.0.2.1", "h", "a@none.example", "none", "", "none.example: no SPF record"},
			{"192.0.2.1", "h", "a@case.example", "fail", "-ALL", ""},
			{"192.0.2.1", "h", "a@bare.example", "neutral", "", ""},
			{"192.0.2.1", "h", "a@two.example", "permerror", "", "2 SPF records"},
			{"192.0.2.1", "h", "a@parts.example", "pass", "ip4:192.0.2.1", ""},
			{"192.0.2.1", "h", "a@other.example", "none", "", "no SPF record"},
			{"192.0.2.1", "h", "a@missing.example", "none", "", "no SPF record"},
			{"192.0.2.1", "h", "a@space.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "a@early.example", "none", "", ""},
		}},
		{"record evaluation and all", `
			q.example.       TXT "v=spf1 ?ip4:192.0.2.1 ~ip4:192.0.2.2 +ip4:192.0.2.3 -all"
			late.example.    TXT "v=spf1 +all moo"
			arg.example.     TXT "v=spf1 -all:foo"
			dot.example.     TXT "v=spf1 -all."
			unknown.example. TXT "v=spf1 future=%{l}.x ip4:192.0.2.1"
			badunk.example.  TXT "v=spf1 future=%{z} +all"
			name.example.    TXT "v=spf1 9x=y +all"
			tab.example.     TXT "v=spf1\009+all"
			tab2.example.    TXT "v=spf1 +all\009"
			high.example.    TXT "v=spf1 a:caf\195\169.example +all"`, []check{
			{"192.0.2.1", "h", "a@q.example", "neutral", "?ip4:192.0.2.1", ""},
			{"192.0.2.2", "h", "a@q.example", "softfail", "~ip4:192.0.2.2", ""},
			{"192.0.2.3", "h", "a@q.example", "pass", "+ip4:192.0.2.3", ""},
			{"192.0.2.4", "h", "a@q.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "a@late.example", "permerror", "", `late.example: "moo": unknown mechanism`},
			{"192.0.2.1", "h", "a@arg.example", "permerror", "", "must not have an argument"},
			{"192.0.2.1", "h", "a@dot.example", "permerror", "", "unknown mechanism"},
			{"192.0.2.1", "h", "a@unknown.example", "pass", "ip4:192.0.2.1", ""},
			{"192.0.2.9", "h", "a@unknown.example", "neutral", "", ""},
			{"192.0.2.1", "h", "a@badunk.example", "permerror", "", `macro "%{z}": unknown macro letter`},
			{"192.0.2.1", "h", "a@name.example", "permerror", "", "neither a mechanism nor a modifier"},
			{"192.0.2.1", "h", "a@tab.example", "none", "", ""},
			{"192.0.2.1", "h", "a@tab2.example", "permerror", "", "unknown mechanism"},
			{"192.0.2.1", "h", "a@high.example", "permerror", "", "octet 0xc3 is not allowed"},
		}},
		{"a", `
			a.example.      TXT "v=spf1 a -all"
			a.example.      A 192.0.2.1
			a.example.      A 192.0.2.2
			a.example.      AAAA 2001:db8::1
			net.example.    TXT "v=spf1 a:a.example/24//64 -all"
			zero.example.   TXT "v=spf1 a:a.example/0 -all"
			only6.example.  TXT "v=spf1 a:a.example//32 -all"
			nx.example.     TXT "v=spf1 a:missing.example -all"
			big.example.    TXT "v=spf1 a:a.example/33 -all"
			big6.example.   TXT "v=spf1 a:a.example//129 -all"
			lead.example.   TXT "v=spf1 a:a.example/032 -all"
			empty.example.  TXT "v=spf1 a: -all"
			tld.example.    TXT "v=spf1 a:museum -all"
			num.example.    TXT "v=spf1 a:111.222.33.44 -all"
			dash.example.   TXT "v=spf1 a:host.-com -all"
			dot.example.    TXT "v=spf1 a:a.example. -all"
			slash.example.  TXT "v=spf1 a:foo/bar.example -all"
			bare.example.   TXT "v=spf1 a24 -all"`, []check{
			{"192.0.2.2", "h", "x@a.example", "pass", "a", ""},
			{"192.0.2.3", "h", "x@a.example", "fail", "-all", ""},
			{"2001:db8::1", "h", "x@a.example", "pass", "a", ""},
			{"2001:db8::2", "h", "x@a.example", "fail", "-all", ""},
			{"192.0.2.200", "h", "x@net.example", "pass", "a:a.example/24//64", ""},
			{"2001:db8::2", "h", "x@net.example", "pass", "a:a.example/24//64", ""},
			{"203.0.113.1", "h", "x@zero.example", "pass", "a:a.example/0", ""},
			{"2001:db8:1::9", "h", "x@only6.example", "pass", "a:a.example//32", ""},
			{"192.0.2.3", "h", "x@only6.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "x@nx.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "x@big.example", "permerror", "", `prefix length "33"`},
			{"192.0.2.1", "h", "x@big6.example", "permerror", "", `prefix length "129"`},
			{"192.0.2.1", "h", "x@lead.example", "permerror", "", `prefix length "032"`},
			{"192.0.2.1", "h", "x@empty.example", "permerror", "", "domain is empty"},
			{"192.0.2.1", "h", "x@tld.example", "permerror", "", "does not end in a top-level domain"},
			{"192.0.2.1", "h", "x@num.example", "permerror", "", "does not end in a top-level domain"},
			{"192.0.2.1", "h", "x@dash.example", "permerror", "", "does not end in a top-level domain"},
			{"192.0.2.1", "h", "x@dot.example", "pass", "a:a.example.", ""},
			{"192.0.2.1", "h", "x@slash.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "x@bare.example", "permerror", "", "unknown mechanism"},
		}},
		{"mx", `
			mx.example.      TXT "v=spf1 mx -all"
			mx.example.      MX 10 a.mx.example.
			mx.example.      MX 20 b.mx.example.
			a.mx.example.    A 192.0.2.1
			b.mx.example.    A 192.0.2.2
			b.mx.example.    AAAA 2001:db8::2
			net.example.     TXT "v=spf1 mx:mx.example/30//120 -all"
			none.example.    TXT "v=spf1 mx -all"
			none.example.    A 192.0.2.1
			null.example.    TXT "v=spf1 mx -all"
			null.example.    MX 0 .
			syntax.example.  TXT "v=spf1 mx:mx.example/40"`, []check{
			{"192.0.2.2", "h", "x@mx.example", "pass", "mx", ""},
			{"2001:db8::2", "h", "x@mx.example", "pass", "mx", ""},
			{"192.0.2.3", "h", "x@mx.example", "fail", "-all", ""},
			{"192.0.2.3", "h", "x@net.example", "pass", "mx:mx.example/30//120", ""},
			{"192.0.2.1", "h", "x@none.example", "fail", "-all", ""}, // no implicit MX
			{"192.0.2.1", "h", "x@null.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "x@syntax.example", "permerror", "", `prefix length "40"`},
		}},
		{"ptr", `
			1.2.0.192.in-addr.arpa. PTR mail.ptr.example.
			1.2.0.192.in-addr.arpa. PTR liar.other.example.
			2.2.0.192.in-addr.arpa. PTR mail.ptr.example.
			mail.ptr.example.  A 192.0.2.1
			liar.other.example. A 203.0.113.1
			ptr.example.       TXT "v=spf1 ptr -all"
			other.example.     TXT "v=spf1 ptr:other.example -all"
			to.example.        TXT "v=spf1 ptr:PTR.example -all"
			empty.example.     TXT "v=spf1 ptr: -all"
			cidr.example.      TXT "v=spf1 ptr/24 -all"
			1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR six.ptr.example.
			six.ptr.example. AAAA 2001:db8::1`, []check{
			{"192.0.2.1", "h", "x@ptr.example", "pass", "ptr", ""},
			{"192.0.2.2", "h", "x@ptr.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "x@other.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "x@to.example", "pass", "ptr:PTR.example", ""},
			{"2001:db8::1", "h", "x@ptr.example", "pass", "ptr", ""},
			{"192.0.2.77", "h", "x@ptr.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "x@empty.example", "permerror", "", "domain is empty"},
			{"192.0.2.1", "h", "x@cidr.example", "permerror", "", "neither a domain nor a prefix"},
		}},
		{"include and redirect", `
			pass.example.     TXT "v=spf1 ip4:192.0.2.1 -all"
			soft.example.     TXT "v=spf1 ~all"
			broken.example.   TXT "v=spf1 wrong"
			i1.example.       TXT "v=spf1 include:pass.example ?all"
			i2.example.       TXT "v=spf1 include:soft.example ip4:192.0.2.2 -all"
			i3.example.       TXT "v=spf1 include:nothing.example -all"
			i4.example.       TXT "v=spf1 include:broken.example -all"
			i5.example.       TXT "v=spf1 include -all"
			i6.example.       TXT "v=spf1 include:pass.example/24 -all"
			r1.example.       TXT "v=spf1 redirect=pass.example"
			r2.example.       TXT "v=spf1 redirect=nothing.example"
			r3.example.       TXT "v=spf1 redirect=broken.example"
			r4.example.       TXT "v=spf1 redirect=pass.example redirect=pass.example"
			r5.example.       TXT "v=spf1 ?all redirect=pass.example"
			r6.example.       TXT "v=spf1 redirect="
			r7.example.       TXT "v=spf1 redirect=pass.example ip4:192.0.2.9"`, []check{
			{"192.0.2.1", "h", "x@i1.example", "pass", "include:pass.example", ""},
			{"192.0.2.2", "h", "x@i1.example", "neutral", "?all", ""},
			{"192.0.2.2", "h", "x@i2.example", "pass", "ip4:192.0.2.2", ""},
			{"192.0.2.1", "h", "x@i3.example", "permerror", "", `i3.example: "include:nothing.example": the target has no policy`},
			{"192.0.2.1", "h", "x@i4.example", "permerror", "", `broken.example: "wrong": unknown mechanism`},
			{"192.0.2.1", "h", "x@i5.example", "permerror", "", "the domain is missing"},
			{"192.0.2.1", "h", "x@i6.example", "permerror", "", "does not end in a top-level domain"},
			{"192.0.2.1", "h", "x@r1.example", "pass", "ip4:192.0.2.1", ""},
			{"192.0.2.2", "h", "x@r1.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "x@r2.example", "permerror", "", "the target has no policy"},
			{"192.0.2.1", "h", "x@r3.example", "permerror", "", `"wrong": unknown mechanism`},
			{"192.0.2.1", "h", "x@r4.example", "permerror", "", "appears twice"},
			{"192.0.2.1", "h", "x@r5.example", "neutral", "?all", ""},
			{"192.0.2.1", "h", "x@r6.example", "permerror", "", "domain is empty"},
			{"192.0.2.9", "h", "x@r7.example", "pass", "ip4:192.0.2.9", ""},
		}},
		{"exists, ip4, ip6", `
			e.example.    TXT "v=spf1 exists:%{ir}.list.example -all"
			1.2.0.192.list.example. A 127.0.0.2
			1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.list.example. A 127.0.0.2
			2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.list.example. AAAA ::1
			e2.example.   TXT "v=spf1 exists -all"
			e3.example.   TXT "v=spf1 exists:list.example/24 -all"
			n4.example.   TXT "v=spf1 ip4:192.0.2.77/24 -all"
			n0.example.   TXT "v=spf1 ip4:192.0.2.1/0 -all"
			n6.example.   TXT "v=spf1 ip6:2001:DB8::/32 -all"
			b1.example.   TXT "v=spf1 ip4:192.0.2 -all"
			b2.example.   TXT "v=spf1 ip4:192.0.2.1/33 -all"
			b3.example.   TXT "v=spf1 ip4 -all"
			b4.example.   TXT "v=spf1 ip6:192.0.2.1 -all"
			b5.example.   TXT "v=spf1 ip6:2001:db8::1/129 -all"
			b6.example.   TXT "v=spf1 ip4:192.0.2.1//24 -all"
			b7.example.   TXT "v=spf1 ip6:fe80::1%eth0 -all"`, []check{
			{"192.0.2.1", "h", "x@e.example", "pass", "exists:%{ir}.list.example", ""},
			{"2001:db8::1", "h", "x@e.example", "pass", "exists:%{ir}.list.example", ""},
			{"2001:db8::2", "h", "x@e.example", "fail", "-all", ""}, // only A counts
			{"192.0.2.1", "h", "x@e2.example", "permerror", "", "the domain is missing"},
			{"192.0.2.1", "h", "x@e3.example", "permerror", "", "top-level domain"},
			{"192.0.2.1", "h", "x@n4.example", "pass", "ip4:192.0.2.77/24", ""},
			{"2001:db8::1", "h", "x@n4.example", "fail", "-all", ""},
			{"203.0.113.9", "h", "x@n0.example", "pass", "ip4:192.0.2.1/0", ""},
			{"2001:db8:ffff::1", "h", "x@n6.example", "pass", "ip6:2001:DB8::/32", ""},
			{"192.0.2.1", "h", "x@n6.example", "fail", "-all", ""},
			{"192.0.2.1", "h", "x@b1.example", "permerror", "", `"192.0.2" is not an address`},
			{"192.0.2.1", "h", "x@b2.example", "permerror", "", `prefix length "33"`},
			{"192.0.2.1", "h", "x@b3.example", "permerror", "", "the address is missing"},
			{"192.0.2.1", "h", "x@b4.example", "permerror", "", "not an address of the right IP version"},
			{"192.0.2.1", "h", "x@b5.example", "permerror", "", `prefix length "129"`},
			{"192.0.2.1", "h", "x@b6.example", "permerror", "", `prefix length "/24"`},
			{"192.0.2.1", "h", "x@b7.example", "permerror", "", "not an address of the right IP version"},
		}},
	} {
		t.Run(category.name, func(t *testing.T) {
			checker, _ := newChecker(t, category.zone)
			for _, c := range category.checks {
				v := checker.Check(t.Context(), netip.MustParseAddr(c.ip), c.helo, c.from)
				if string(v.Result) != c.want || v.Term != c.term {
					t.Errorf("%s from %s: %s by %q (%v), want %s by %q", c.from, c.ip, v.Result, v.Term, v.Err, c.want, c.term)
				}
				if c.err != "" && (v.Err == nil || !strings.Contains(v.Err.Error(), c.err)) {
					t.Errorf("%s: error %v does not say %q", c.from, v.Err, c.err)
				}
				if hasError := v.Result == None || v.Result == TempError || v.Result == PermError; hasError != (v.Err != nil) {
					t.Errorf("%s: %s with error %v", c.from, v.Result, v.Err)
				}
			}
		})
	}
}
