package spf

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

var (
	servfail = dnstest.Fault{Rcode: dns.RcodeServerFailure}
	client   = netip.MustParseAddr("192.0.2.1")
)

// cache is a resolver that returns the same slice to all callers.
type cache struct{ addrs []netip.Addr }

func (c cache) Lookup(_ context.Context, _ string, t resolver.Type) (*resolver.Answer, error) {
	if t == resolver.TypeTXT {
		return &resolver.Answer{TXT: []string{"v=spf1 a -all"}}, nil
	}
	return &resolver.Answer{Addrs: c.addrs}, nil
}

// Check does not change the slices that a resolver returns: the resolver may
// share them with other callers.
func TestResolverAnswerIsNotChanged(t *testing.T) {
	c := cache{[]netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1")}}
	was := slices.Clone(c.addrs)
	if v := (&Checker{Resolver: c}).Check(t.Context(), client, "h", "a@example.org"); v.Result != Pass || !slices.Equal(c.addrs, was) {
		t.Errorf("%s (%v), the answer is now %v", v.Result, v.Err, c.addrs)
	}
}

// RFC 7208, 4.6.4: at most ten terms may cause DNS queries.
func TestLookupLimit(t *testing.T) {
	var zone strings.Builder
	zone.WriteString("host.example. A 203.0.113.1\nhost.example. MX 1 host.example.\n1.2.0.192.in-addr.arpa. PTR host.example.\n")
	policy := func(name string, n int, term string) {
		fmt.Fprintf(&zone, "%s. TXT \"v=spf1 %s ip4:192.0.2.1\"\n", name, strings.TrimSpace(strings.Repeat(term+" ", n)))
	}
	for kind, term := range map[string]string{
		"a": "?a:host.example", "mx": "?mx:host.example", "ptr": "?ptr:other.example", "include": "include:no.example",
	} {
		policy("ten."+kind+".example", 10, term)
		policy("eleven."+kind+".example", 11, term)
	}
	zone.WriteString(`no.example. TXT "v=spf1 -all"` + "\n")
	zone.WriteString(`nine.example. TXT "v=spf1 include:four.example a:host.example a:host.example a:host.example a:host.example redirect=end.example"` + "\n")
	zone.WriteString(`four.example. TXT "v=spf1 a:host.example a:host.example a:host.example a:host.example -all"` + "\n")
	zone.WriteString(`end.example. TXT "v=spf1 ip4:192.0.2.1"` + "\n")
	zone.WriteString(`deep.example. TXT "v=spf1 a:host.example redirect=nine.example"` + "\n")
	checker, _ := newChecker(t, zone.String())
	for name, want := range map[string]Result{
		"ten.a.example": Pass, "eleven.a.example": PermError,
		"ten.mx.example": Pass, "eleven.mx.example": PermError,
		"ten.ptr.example": Pass, "eleven.ptr.example": PermError,
		"ten.include.example": Pass, "eleven.include.example": PermError,
		"nine.example": Pass, // 1 + 4 + 4 + 1: terms of includes count too
		"deep.example": PermError,
	} {
		v := checker.Check(t.Context(), client, "h", "a@"+name)
		if v.Result != want {
			t.Errorf("%s: %s (%v), want %s", name, v.Result, v.Err, want)
		}
		if want == PermError && (v.Err == nil || !strings.Contains(v.Err.Error(), "more than 10 terms")) {
			t.Errorf("%s: error %v", name, v.Err)
		}
	}
}

// Two terms may have an empty answer. An answer with other addresses is not
// empty.
func TestVoidLimit(t *testing.T) {
	checker, _ := newChecker(t, `
		two.example.    TXT "v=spf1 a:n1.example mx:n2.example ip4:192.0.2.1 -all"
		three.example.  TXT "v=spf1 a:n1.example mx:n2.example exists:n3.example ip4:192.0.2.1 -all"
		nodata.example. TXT "v=spf1 a:txt.example a:txt.example a:txt.example ip4:192.0.2.1 -all"
		txt.example.    TXT "no address here"
		other.example.  TXT "v=spf1 a:o.example a:o.example a:o.example ip4:192.0.2.1 -all"
		o.example.      A 203.0.113.1
		ptr.example.    TXT "v=spf1 ptr a:n1.example a:n2.example ip4:192.0.2.1 -all"`)
	for name, want := range map[string]Result{
		"two.example": Pass, "three.example": PermError, "nodata.example": PermError, "other.example": Pass, "ptr.example": PermError,
	} {
		v := checker.Check(t.Context(), client, "h", "a@"+name)
		if v.Result != want || want == PermError && !strings.Contains(v.Err.Error(), "more than 2 terms have an empty answer") {
			t.Errorf("%s: %s (%v), want %s", name, v.Result, v.Err, want)
		}
	}
}

// An mx term has at most ten hosts. Only the first ten names of the client are
// checked.
func TestNameLimits(t *testing.T) {
	var zone strings.Builder
	hosts := func(name string, n int) {
		fmt.Fprintf(&zone, "%s. TXT \"v=spf1 mx -all\"\n", name)
		for i := range n {
			fmt.Fprintf(&zone, "%s. MX %d m%d.%s.\nm%d.%s. A 192.0.2.%d\n", name, i, i, name, i, name, 100+i)
		}
	}
	hosts("mx10.example", 10)
	hosts("mx11.example", 11)
	for i := range 40 {
		fmt.Fprintf(&zone, "1.2.0.192.in-addr.arpa. PTR p%02d.ptr.example.\n", i)
		fmt.Fprintf(&zone, "p%02d.ptr.example. A 192.0.2.%d\n", i, 1+i/39) // only the last one is not the client's
	}
	zone.WriteString(`ptr.example. TXT "v=spf1 ptr:%{p}.nowhere.example ptr:other.example -all"` + "\n")
	checker, dns := newChecker(t, zone.String())
	if v := checker.Check(t.Context(), netip.MustParseAddr("192.0.2.109"), "h", "a@mx10.example"); v.Result != Pass {
		t.Errorf("the tenth mx host: %s (%v)", v.Result, v.Err)
	}
	if v := checker.Check(t.Context(), netip.MustParseAddr("192.0.2.100"), "h", "a@mx11.example"); v.Result != PermError {
		t.Errorf("eleven mx hosts: %s", v.Result)
	}
	if v := checker.Check(t.Context(), client, "h", "a@ptr.example"); v.Result != Fail {
		t.Errorf("ptr: %s (%v)", v.Result, v.Err)
	}
	asked := 0
	for i := range 40 {
		asked += dns.Count(fmt.Sprintf("p%02d.ptr.example", i), "A")
	}
	if asked != 10 || dns.Count("1.2.0.192.in-addr.arpa", "PTR") != 1 {
		t.Errorf("asked for %d of the client's names, want 10, once", asked)
	}
}

// A policy that includes itself, directly or not, is a PermError after ten terms.
func TestLoops(t *testing.T) {
	checker, dns := newChecker(t, `
		i.example. TXT "v=spf1 include:i.example -all"
		r.example. TXT "v=spf1 redirect=r.example"
		a.example. TXT "v=spf1 include:b.example -all"
		b.example. TXT "v=spf1 redirect=a.example"
		c.example. CNAME d.example.
		d.example. CNAME c.example.`)
	for _, name := range []string{"i.example", "r.example", "a.example"} {
		v := checker.Check(t.Context(), client, "h", "x@"+name)
		if v.Result != PermError || dns.Count(name, "TXT") > 11 {
			t.Errorf("%s: %s (%v) after %d queries", name, v.Result, v.Err, dns.Count(name, "TXT"))
		}
	}
	if v := checker.Check(t.Context(), client, "h", "x@c.example"); v.Result != None && v.Result != TempError {
		t.Errorf("a loop of aliases: %s", v.Result)
	}
}

// If DNS does not answer a query that decides the result, the result is
// TempError: neither Pass nor Fail.
func TestDNSErrorsAreTemporary(t *testing.T) {
	zone := `
		txt.example.  TXT "v=spf1 +all"
		a.example.    TXT "v=spf1 a:dead.example +all"
		mx.example.   TXT "v=spf1 mx:dead.example +all"
		mxa.example.  TXT "v=spf1 mx:half.example +all"
		half.example. MX 1 dead.example.
		ex.example.   TXT "v=spf1 exists:dead.example +all"
		in.example.   TXT "v=spf1 include:dead.example +all"
		in2.example.  TXT "v=spf1 include:a.example +all"
		re.example.   TXT "v=spf1 redirect=dead.example"
		ptr.example.  TXT "v=spf1 ptr:dead.example -all"`
	for _, fault := range []dnstest.Fault{
		servfail,
		{Rcode: dns.RcodeRefused},
		{Rcode: dns.RcodeNotImplemented},
		{Truncate: true, NoTCP: true},
		{Mangle: func(b []byte) []byte { b[1]++; return b }},
	} {
		synctest.Test(t, func(t *testing.T) {
			checker, dns := newChecker(t, zone)
			for _, name := range []string{"dead.example", "txt.example", "1.2.0.192.in-addr.arpa"} {
				dns.Fault(name, "", fault)
			}
			for _, name := range []string{"txt", "a", "mx", "mxa", "ex", "in", "in2", "re"} {
				v := checker.Check(t.Context(), client, "h", "x@"+name+".example")
				if v.Result != TempError || v.Err == nil {
					t.Errorf("%+v: %s: %s by %q (%v)", fault, name, v.Result, v.Term, v.Err)
				}
			}
			// RFC 7208, 5.5: without an answer ptr does not match.
			if v := checker.Check(t.Context(), client, "h", "x@ptr.example"); v.Result != Fail {
				t.Errorf("%+v: ptr: %s (%v)", fault, v.Result, v.Err)
			}
		})
	}
}

// If the DNS server never answers, the check takes 20 seconds for any number of
// terms.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, dns := newChecker(t, `slow.example. TXT "v=spf1 ptr a:s1.example a:s2.example a:s3.example mx:s4.example +all"`)
		for _, name := range []string{"s1.example", "s2.example", "s3.example", "s4.example", "1.2.0.192.in-addr.arpa"} {
			dns.Fault(name, "", dnstest.Fault{Delay: time.Hour})
		}
		began := time.Now()
		v := checker.Check(t.Context(), client, "h", "x@slow.example")
		if took := time.Since(began); v.Result != TempError || took > 20*time.Second {
			t.Errorf("%s (%v) after %v", v.Result, v.Err, took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if v := checker.Check(ctx, client, "h", "x@slow.example"); v.Result != TempError {
			t.Errorf("cancelled: %s", v.Result)
		}
		dns.Close()
		synctest.Wait()
	})
}

// Large answers are valid: one long record, and a record among many others.
func TestOversizedAnswers(t *testing.T) {
	var long, many strings.Builder
	for i := range 250 { // 50 KB of terms
		fmt.Fprintf(&long, ` "ip4:203.0.113.%d %s "`, i, strings.Repeat("ip4:198.51.100.1 ", 10))
	}
	for i := range 400 {
		fmt.Fprintf(&many, "many.example. TXT \"noise %d %s\"\n", i, strings.Repeat("x", 100))
	}
	checker, _ := newChecker(t, fmt.Sprintf(`
		long.example. TXT "v=spf1 " %s "-all"
		many.example. TXT "v=spf1 -all"
		%s`, &long, &many))
	if v := checker.Check(t.Context(), netip.MustParseAddr("203.0.113.249"), "h", "x@long.example"); v.Result != Pass {
		t.Errorf("a record of 50 KB: %s (%v)", v.Result, v.Err)
	}
	if v := checker.Check(t.Context(), client, "h", "x@many.example"); v.Result != Fail {
		t.Errorf("400 TXT records: %s (%v)", v.Result, v.Err)
	}
}
