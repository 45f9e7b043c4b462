package dmarc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// proofs parses "spf:pass=example.com dkim:fail=example.org ...".
func proofs(s string) (*spf.Verdict, *dkim.Verdict) {
	sv, dv := &spf.Verdict{Result: spf.None}, &dkim.Verdict{}
	for proof := range strings.FieldsSeq(s) {
		kind, rest, _ := strings.Cut(proof, ":")
		result, domain, _ := strings.Cut(rest, "=")
		var err error
		if result != "pass" {
			err = errors.New(result)
		}
		switch {
		case kind == "spf" && result == "unknown":
			sv = nil
		case kind == "dkim" && result == "unknown":
			dv = nil
		case kind == "spf":
			sv = &spf.Verdict{Result: spf.Result(result), Domain: domain, Err: err}
		default:
			dv.Signatures = append(dv.Signatures, dkim.Signature{Result: dkim.Result(result), Domain: domain, Err: err})
		}
	}
	return sv, dv
}

const world = `
	_dmarc.example.com.         TXT "v=DMARC1; p=reject; sp=quarantine"
	_dmarc.strict.example.com.  TXT "v=DMARC1; p=reject; adkim=s; aspf=s"
	_dmarc.own.example.com.     TXT "v=DMARC1; p=none; psd=n"
	_dmarc.monitor.example.     TXT "v=DMARC1; p=none"
	_dmarc.test.example.        TXT "v=DMARC1; p=reject; t=y"
	_dmarc.test2.example.       TXT "v=DMARC1; p=quarantine; t=y"
	_dmarc.np.example.          TXT "v=DMARC1; p=none; sp=quarantine; np=reject"
	a.np.example.               A 192.0.2.1
	mx.np.example.              MX 1 a.np.example.
	txt.np.example.             TXT "x"
	_dmarc.np2.example.         TXT "v=DMARC1; p=none; np=reject"
	here.np2.example.           AAAA 2001:db8::1
	_dmarc.bank.                TXT "v=DMARC1; p=reject; sp=quarantine; np=reject; psd=y"
	real.bank.                  A 192.0.2.1
	_dmarc.named.bank.          TXT "v=DMARC1; p=none"
	_dmarc.broken.example.      TXT "v=DMARC1; p=bogus"
	_dmarc.told.example.        TXT "v=DMARC1; p=bogus; rua=mailto:a@told.example"
	_dmarc.nop.example.         TXT "v=DMARC1; sp=reject"
	sub.nop.example.            A 192.0.2.1
	sub.noptold.example.        A 192.0.2.1
	_dmarc.noptold.example.     TXT "v=DMARC1; sp=reject; rua=mailto:a@noptold.example"
	_dmarc.pct0.example.        TXT "v=DMARC1; p=reject; pct=0"
	_dmarc.xn--bcher-kva.example. TXT "v=DMARC1; p=reject"`

// Alignment, policies and dispositions (RFC 9989, 4.4, 4.7, 4.10, 5.3).
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		author, proofs string
		result         Result
		tag            string
		policy, does   Disposition
		spf, dkim      bool
	}{
		// Relaxed alignment, with different authenticated domains.
		{"example.com", "spf:pass=example.com", Pass, "p", Reject, NoAction, true, false},
		{"Example.COM", "dkim:pass=EXAMPLE.com", Pass, "p", Reject, NoAction, false, true},
		{"example.com", "spf:pass=bounce.example.com dkim:pass=mail.example.com", Pass, "p", Reject, NoAction, true, true},
		{"news.example.com", "spf:pass=foo.example.com", Pass, "sp", Quarantine, NoAction, true, false},
		{"news.example.com", "dkim:pass=example.com", Pass, "sp", Quarantine, NoAction, false, true},
		{"news.example.com", "spf:pass=foo.example.net", Fail, "sp", Quarantine, Quarantine, false, false},
		{"example.com", "spf:pass=notexample.com dkim:pass=example.com.evil.example", Fail, "p", Reject, Reject, false, false},
		{"example.com", "dkim:pass=com", Fail, "p", Reject, Reject, false, false},
		{"example.com", "spf:fail=example.com dkim:fail=example.com", Fail, "p", Reject, Reject, false, false},
		{"example.com", "spf:softfail=example.com dkim:policy=example.com dkim:neutral=example.com dkim:permerror=example.com", Fail, "p", Reject, Reject, false, false},
		{"example.com", "spf:neutral=example.com dkim:pass=evil.example dkim:pass=example.com", Pass, "p", Reject, NoAction, false, true},
		{"example.com", "", Fail, "p", Reject, Reject, false, false},
		// Strict alignment.
		{"strict.example.com", "spf:pass=strict.example.com", Pass, "p", Reject, NoAction, true, false},
		{"strict.example.com", "spf:pass=example.com dkim:pass=a.strict.example.com", Fail, "p", Reject, Reject, false, false},
		// A separate organization inside another one.
		{"own.example.com", "dkim:pass=example.com", Fail, "p", NoAction, NoAction, false, false},
		{"example.com", "dkim:pass=own.example.com", Fail, "p", Reject, Reject, false, false},
		{"a.own.example.com", "dkim:pass=b.own.example.com", Pass, "p", NoAction, NoAction, false, true},
		// Test mode is one level less.
		{"test.example", "", Fail, "p", Reject, Quarantine, false, false},
		{"test2.example", "", Fail, "p", Quarantine, NoAction, false, false},
		{"monitor.example", "", Fail, "p", NoAction, NoAction, false, false},
		// Subdomains that exist, and subdomains that do not.
		{"np.example", "", Fail, "p", NoAction, NoAction, false, false},
		{"a.np.example", "", Fail, "sp", Quarantine, Quarantine, false, false},
		{"mx.np.example", "", Fail, "sp", Quarantine, Quarantine, false, false},
		{"txt.np.example", "", Fail, "sp", Quarantine, Quarantine, false, false},
		{"forged.np.example", "", Fail, "np", Reject, Reject, false, false},
		{"here.np2.example", "", Fail, "p", NoAction, NoAction, false, false},
		{"forged.np2.example", "", Fail, "np", Reject, Reject, false, false},
		{"forged.np2.example", "dkim:pass=np2.example", Pass, "np", Reject, NoAction, false, true},
		// Public suffixes.
		{"real.bank", "", Fail, "sp", Quarantine, Quarantine, false, false},
		{"forged.bank", "", Fail, "np", Reject, Reject, false, false},
		{"named.bank", "", Fail, "p", NoAction, NoAction, false, false},
		{"real.bank", "dkim:pass=other.bank", Fail, "sp", Quarantine, Quarantine, false, false},
		{"real.bank", "dkim:pass=bank", Fail, "sp", Quarantine, Quarantine, false, false},
		{"www.real.bank", "dkim:pass=real.bank", Pass, "np", Reject, NoAction, false, true},
		{"bank", "dkim:pass=bank", Pass, "p", Reject, NoAction, false, true},
		// Records with errors, and missing records.
		{"broken.example", "", None, "", "", NoAction, false, false},
		{"told.example", "", Fail, "p", NoAction, NoAction, false, false},
		{"nop.example", "", Fail, "p", NoAction, NoAction, false, false},
		{"nop.example", "dkim:pass=nop.example", Pass, "p", NoAction, NoAction, false, true},
		{"sub.nop.example", "", Fail, "sp", Reject, Reject, false, false},
		{"nothing.test", "spf:pass=nothing.test", None, "", "", NoAction, false, false},
		{"bücher.example", "dkim:pass=xn--bcher-kva.example", Pass, "p", Reject, NoAction, false, true},
		{"[192.0.2.1]", "", PermError, "", "", NoAction, false, false},
		{"", "", PermError, "", "", NoAction, false, false},
		// RFC 9989 has no tag pct.
		{"pct0.example", "", Fail, "p", Reject, Reject, false, false},
		// A check with a temporary error might have passed.
		{"example.com", "spf:temperror=example.com", TempError, "p", Reject, NoAction, false, false},
		{"example.com", "dkim:temperror=mail.example.com", TempError, "p", Reject, NoAction, false, false},
		{"example.com", "spf:temperror=evil.example dkim:temperror=evil.example", Fail, "p", Reject, Reject, false, false},
		{"example.com", "spf:temperror=example.com dkim:pass=example.com", Pass, "p", Reject, NoAction, false, true},
		{"example.com", "spf:unknown", TempError, "p", Reject, NoAction, false, false},
		{"example.com", "dkim:unknown spf:fail=example.com", TempError, "p", Reject, NoAction, false, false},
		{"example.com", "dkim:unknown spf:pass=example.com", Pass, "p", Reject, NoAction, true, false},
	} {
		checker, _ := newChecker(t, world)
		s, d := proofs(c.proofs)
		v := checker.Check(t.Context(), c.author, s, d)
		if v.Result != c.result || v.Tag != c.tag || v.Policy != c.policy || v.Disposition != c.does || v.SPF != c.spf || v.DKIM != c.dkim {
			t.Errorf("%s, %s: %s, %s=%s, does %s, SPF %v, DKIM %v (%v)\nwant %s, %s=%s, does %s, SPF %v, DKIM %v", c.author, c.proofs,
				v.Result, v.Tag, v.Policy, v.Disposition, v.SPF, v.DKIM, v.Err, c.result, c.tag, c.policy, c.does, c.spf, c.dkim)
		}
		if (v.Err != nil) != (v.Result == TempError || v.Result == PermError || c.author == "broken.example") {
			t.Errorf("%s: %s with error %v", c.author, v.Result, v.Err)
		}
		if (len(v.Reasons) > 0) != (v.Result == Fail && v.Policy != v.Disposition) {
			t.Errorf("%s: reasons %v", c.author, v.Reasons)
		}
	}
}

// A resolver that knows which names exist gives an exact answer (RFC 9989,
// 3.2.13; RFC 8020).
func TestExistenceByNXDOMAIN(t *testing.T) {
	_, server := newChecker(t, world, "deep.empty.np.example. HINFO x y")
	checker := &Checker{Resolver: &routing.DNSResolver{Servers: []string{"ns"}, Dial: server.Dial}}
	s, d := proofs("")
	for author, want := range map[string]string{
		"empty.np.example": "sp", "deep.empty.np.example": "sp", "a.np.example": "sp", "forged.np.example": "np", "x.a.np.example": "np",
	} {
		if v := checker.Check(t.Context(), author, s, d); v.Tag != want || v.Result != Fail {
			t.Errorf("%s: %s by %s (%v), want %s", author, v.Result, v.Tag, v.Err, want)
		}
	}
	server.Fault("dead.np.example", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	if v := checker.Check(t.Context(), "dead.np.example", s, d); v.Result != TempError {
		t.Errorf("no answer: %s by %s", v.Result, v.Tag)
	}
}

// RFC 7489: the public suffix list defines organizations, and pct applies.
func TestCheckPublicSuffixList(t *testing.T) {
	checker, _ := newChecker(t, world)
	checker.PublicSuffixList = true
	for _, c := range []struct {
		author, proofs string
		result         Result
		does           Disposition
	}{
		{"a.own.example.com", "dkim:pass=example.com", Pass, NoAction}, // psd=n is ignored
		{"news.example.com", "", Fail, Quarantine},
		{"pct0.example", "", Fail, Quarantine},
		{"test.example", "", Fail, Reject}, // t=y is ignored
		{"shop.co.uk", "dkim:pass=other.co.uk", None, NoAction},
		{"nop.example", "", None, NoAction}, // no p= and no rua (6.6.3)
		{"noptold.example", "", Fail, NoAction},
		{"sub.noptold.example", "", Fail, NoAction}, // as p=none
	} {
		s, d := proofs(c.proofs)
		v := checker.Check(t.Context(), c.author, s, d)
		if v.Result != c.result || v.Disposition != c.does || !v.PublicSuffixList {
			t.Errorf("%s, %s: %s, does %s (%v)", c.author, c.proofs, v.Result, v.Disposition, v.Err)
		}
	}
	r := &Record{Percent: 30}
	for roll, want := range map[int]Disposition{0: Reject, 29: Reject, 30: Quarantine, 99: Quarantine} {
		v := Verdict{Policy: Reject, Record: r}
		if v.dispose(true, roll); v.Disposition != want {
			t.Errorf("pct=30, %d: %s", roll, v.Disposition)
		}
	}
}

// If DNS does not answer, the result is TempError: neither Pass nor Fail.
func TestDNSErrorsAreTemporary(t *testing.T) {
	for name, fault := range map[string]dnstest.Fault{
		"SERVFAIL":  {Rcode: dns.RcodeServerFailure},
		"refused":   {Rcode: dns.RcodeRefused},
		"truncated": {Truncate: true, NoTCP: true},
		"too late":  {Delay: time.Hour},
		"garbage":   {Mangle: func(b []byte) []byte { b[1]++; return b }},
	} {
		for _, c := range []struct {
			dead, author, proofs string
			want                 Result
		}{
			{"_dmarc.example.com", "example.com", "spf:pass=example.com", TempError},
			{"_dmarc.example.com", "news.example.com", "", TempError},
			{"_dmarc.com", "news.example.com", "", TempError},
			{"_dmarc.a.example.com", "example.com", "dkim:pass=a.example.com", TempError},
			{"_dmarc.a.example.com", "example.com", "dkim:pass=a.example.com spf:pass=b.example.com", Pass},
			{"forged.np.example", "forged.np.example", "", TempError},
			// No query is sent if its answer is not needed.
			{"_dmarc.com", "example.com", "dkim:pass=example.com", Pass},
			{"_dmarc.com", "example.com", "", Fail},
			{"_dmarc.evil.example", "example.com", "dkim:pass=evil.example", Fail},
		} {
			synctest.Test(t, func(t *testing.T) {
				checker, server := newChecker(t, world)
				server.Fault(c.dead, "", fault)
				s, d := proofs(c.proofs)
				began := time.Now()
				v := checker.Check(t.Context(), c.author, s, d)
				if v.Result != c.want || (v.Result == TempError) != (v.Err != nil) || v.Result != Fail && v.Disposition != NoAction {
					t.Errorf("%s at %s: %s from %s: %s (%v), want %s", name, c.dead, c.proofs, c.author, v.Result, v.Err, c.want)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("%s: after %v", name, took)
				}
				server.Close()
				synctest.Wait()
			})
		}
	}
}

// Names that are made to cost queries cost at most eight queries for the author,
// and eight for each authenticated domain in the author's organization.
func TestQueriesAreBounded(t *testing.T) {
	checker, dns := newChecker(t, `_dmarc.example.com. TXT "v=DMARC1; p=reject"`)
	deep := strings.Repeat("a.", 100) + "example.com"
	var all []string
	for _, other := range []string{"b.", "c.", "d."} {
		all = append(all, "dkim:pass="+strings.Repeat(other, 100)+"example.com", "dkim:pass="+strings.Repeat(other, 100)+"example.net")
	}
	s, d := proofs(strings.Join(all, " "))
	if v := checker.Check(t.Context(), deep, s, d); v.Result != Pass {
		t.Errorf("%s (%v)", v.Result, v.Err)
	}
	if n := dns.Count("_dmarc.example.com", "TXT"); n != 1 {
		t.Errorf("asked %d times for the same name", n)
	}
	if n := dns.Count("_dmarc.example.net", "TXT"); n != 0 {
		t.Errorf("asked %d times for a foreign name", n)
	}
}

// Records of any size are parsed up to the limits.
func TestOversizedAnswers(t *testing.T) {
	var zone strings.Builder
	zone.WriteString(`_dmarc.many.example. TXT "v=DMARC1; p=reject"` + "\n")
	for i := range 300 {
		fmt.Fprintf(&zone, "_dmarc.many.example. TXT \"noise %d %s\"\n", i, strings.Repeat("x", 100))
	}
	zone.WriteString(`_dmarc.long.example. TXT "v=DMARC1; p=reject; rua="`)
	for range 1000 {
		zone.WriteString(` "mailto:someone.with.a.long.name@long.example,"`)
	}
	zone.WriteString(` "; ` + strings.Repeat("x=1;", 50) + "\"\n")
	checker, _ := newChecker(t, zone.String())
	s, d := proofs("")
	for _, author := range []string{"many.example", "long.example"} {
		v := checker.Check(t.Context(), author, s, d)
		if v.Result != Fail || v.Disposition != Reject || len(v.Record.Reports) > maxURIs {
			t.Errorf("%s: %s, %s (%v)", author, v.Result, v.Disposition, v.Err)
		}
	}
}
