package spf

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The examples of RFC 7208, 7.4, and more transformers.
func TestMacros(t *testing.T) {
	e := &evaluation{
		ip:    netip.MustParseAddr("192.0.2.3"),
		local: "strong-bad", domain: "email.example.com",
		helo: "mx.example.org", receiver: "rcv.example.net",
		ptrAsked: true, names: []string{"other.example", "host.email.example.com"},
	}
	six := *e
	six.ip = netip.MustParseAddr("2001:db8::cb01")
	for _, c := range []struct{ macro, want string }{
		{"%{s}", "strong-bad@email.example.com"},
		{"%{o}", "email.example.com"},
		{"%{d}", "email.example.com"},
		{"%{d4}", "email.example.com"},
		{"%{d3}", "email.example.com"},
		{"%{d2}", "example.com"},
		{"%{d1}", "com"},
		{"%{dr}", "com.example.email"},
		{"%{d2r}", "example.email"},
		{"%{l}", "strong-bad"},
		{"%{l-}", "strong.bad"},
		{"%{lr}", "strong-bad"},
		{"%{lr-}", "bad.strong"},
		{"%{l1r-}", "strong"},
		{"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
		{"%{h}|%{p}|%{p2}", "mx.example.org|host.email.example.com|example.com"},
		{"%{c}|%{r}", "192.0.2.3|rcv.example.net"},
		{"%%|%_|%-", "%| |%20"},
		{"%{S}", "strong-bad%40email.example.com"},
		{"%{D99999999999999999999}", "email.example.com"},
		{"%{o1+-.}", "com"},
	} {
		m, err := parseMacro(c.macro, inExplanation)
		if err != nil {
			t.Errorf("%s: %v", c.macro, err)
			continue
		}
		if got := m.expand(func(l byte) string { return e.macroValue(l, e.domain) }); got != c.want {
			t.Errorf("%s is %q, want %q", c.macro, got, c.want)
		}
	}
	m, _ := parseMacro("%{ir}.%{v}._spf.%{d2}", inDomain)
	got := six.expand(m, six.domain)
	if want := "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"; !strings.EqualFold(got, want) {
		t.Errorf("IPv6: %q", got)
	}
	now, err := strconv.ParseInt(e.macroValue('t', ""), 10, 64)
	if err != nil || time.Since(time.Unix(now, 0)).Abs() > time.Minute {
		t.Errorf("%%{t} is %d", now)
	}
}

func TestMacroSyntax(t *testing.T) {
	for _, c := range []struct {
		macro, err string
		place      macroPlace
	}{
		{"%", `"%" at the end`, inDomain},
		{"%x", `"%x" is not a macro`, inDomain},
		{"%{", "without a letter", inDomain},
		{"%{}", "without a letter", inDomain},
		{"%{d", "without a letter", inDomain},
		{"%{d0}", "the number of labels is 0", inDomain},
		{"%{dx}", "invalid delimiters", inDomain},
		{"%{drr}", "invalid delimiters", inDomain},
		{"%{c}", "unknown macro letter", inDomain},
		{"%{t}", "unknown macro letter", inDomain},
		{"%{-}", "unknown macro letter", inExplanation},
		{"a b", "0x20", inDomain},
		{"a\x7fb", "0x7f", inExplanation},
	} {
		if _, err := parseMacro(c.macro, c.place); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: error %v, want one with %q", c.macro, err, c.err)
		}
	}
}

// RFC 7208, 7.3: a name that is too long loses labels from the left.
func TestLongNamesAreCut(t *testing.T) {
	label := strings.Repeat("x", 60)
	name := strings.Join([]string{label, label, label, label, label, "example.org"}, ".")
	if got := cutDomain(name); len(got) > 253 || !strings.HasSuffix(name, "."+got) || len(got) < 253-61 {
		t.Errorf("cut to %d octets: %q", len(got), got)
	}
}

func TestExplanation(t *testing.T) {
	checker, dns := newChecker(t, `
		x.example.     TXT "v=spf1 exp=why.example -all"
		why.example.   TXT "%{i} of %{h} is not one of %{d}'s mail servers, says %{r}"
		r.example.     TXT "v=spf1 redirect=x.example exp=mine.example"
		mine.example.  TXT "not to be seen"
		i.example.     TXT "v=spf1 include:x.example exp=%{d1}.none.example -all"
		two.example.   TXT "v=spf1 exp=several.example -all"
		several.example. TXT "one"
		several.example. TXT "two"
		bad.example.   TXT "v=spf1 exp=badtext.example -all"
		badtext.example. TXT "%{q}"
		slow.example.  TXT "v=spf1 exp=dead.example -all"
		dup.example.   TXT "v=spf1 exp=why.example exp=why.example -all"
		inject.example. TXT "v=spf1 exp=injected.example -all"
		injected.example. TXT "%{h}"
		long.example.  TXT "v=spf1 exp=longtext.example -all"
		longtext.example. TXT "%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}"
	`)
	dns.Fault("dead.example", "TXT", servfail)
	ip := netip.MustParseAddr("192.0.2.3")
	for domain, want := range map[string]string{
		"x.example":    "192.0.2.3 of helo%0D%0A is not one of x.example's mail servers, says mx.example.com",
		"r.example":    "192.0.2.3 of helo%0D%0A is not one of x.example's mail servers, says mx.example.com",
		"i.example":    "",
		"two.example":  "",
		"bad.example":  "",
		"slow.example": "",
	} {
		v := checker.Check(t.Context(), ip, "helo\r\n", "alice@"+domain)
		if v.Result != Fail || v.Explanation != want {
			t.Errorf("%s: %s %q, want %q", domain, v.Result, v.Explanation, want)
		}
	}
	if v := checker.Check(t.Context(), ip, "h", "a@dup.example"); v.Result != PermError {
		t.Errorf("two exp=: %s", v.Result)
	}
	if v := checker.Check(t.Context(), ip, "h", "alice@long.example"); len(v.Explanation) != maxExplanation {
		t.Errorf("long explanation of %d octets", len(v.Explanation))
	}
}

// A HELO name that is not a domain has no policy. It causes no DNS query, and the
// verdict contains only its safe form.
func TestInvalidHeloName(t *testing.T) {
	checker, _ := newChecker(t, `
		*.example.org. TXT "v=spf1 +all"
		example.net.   TXT "v=spf1 exp=why.example.net a:%{h}.example.net -all"
		why.example.net. TXT "%{h} and %{H}"
	`)
	ip := netip.MustParseAddr("192.0.2.3")
	for helo, want := range map[string]string{
		"x.example.org":      "pass x.example.org",
		"x.example.org.":     "pass x.example.org",
		"x y.example.org":    "none x%20y.example.org",
		`x\y.example.org`:    "none x%5Cy.example.org",
		"(x).example.org":    "none %28x%29.example.org",
		"bücher.example.org": "pass xn--bcher-kva.example.org",
		"b\xfccher.example":  "none b%FCcher.example",
		"[192.0.2.3]":        "none [192.0.2.3]",
	} {
		v := checker.Check(t.Context(), ip, helo, "")
		if got := string(v.Result) + " " + v.Domain; got != want || v.Sender != "postmaster@"+v.Domain {
			t.Errorf("%q: %s, sender %s; want %s", helo, got, v.Sender, want)
		}
	}
	v := checker.Check(t.Context(), ip, "my (printer)", "a@example.net")
	if want := "my%20%28printer%29 and my%2520%2528printer%2529"; v.Result != Fail || v.Explanation != want {
		t.Errorf("%s %q, want %q", v.Result, v.Explanation, want)
	}
}
