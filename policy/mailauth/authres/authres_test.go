package authres

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
)

func TestFormat(t *testing.T) {
	results := []Result{FromSPF(&spf.Verdict{Result: spf.Pass, Domain: "example.org"})}
	results = append(results, FromDKIM(&dkim.Verdict{Signatures: []dkim.Signature{
		{Result: dkim.Pass, Domain: "example.org", Selector: "s1", Algorithm: "rsa-sha256", Value: "k1LzRxs9/DfN/whl"},
		{Result: dkim.Fail, Domain: "list.example", Selector: "x", Algorithm: "rsa-sha256", Value: "+abc=", Err: errors.New(`not "it"`), Testing: true},
	}})...)
	record, err := dmarc.ParseRecord("v=DMARC1; p=reject; t=y")
	if err != nil {
		t.Fatal(err)
	}
	results = append(results, FromDMARC(&dmarc.Verdict{Result: dmarc.Fail, Author: "example.org", Record: record, Tag: "p", Policy: dmarc.Reject, Disposition: dmarc.Quarantine}))
	const want = "Authentication-Results: mx.example.com;\r\n" +
		"\tspf=pass smtp.mailfrom=example.org;\r\n" +
		"\tdkim=pass header.d=example.org header.s=s1 header.a=rsa-sha256\r\n\t header.b=k1LzRxs9;\r\n" +
		"\tdkim=fail (testing) reason=\"not \\\"it\\\"\" header.d=list.example\r\n\t header.s=x header.a=rsa-sha256 header.b=\"+abc=\";\r\n" +
		"\tdmarc=fail (p=reject dis=quarantine) header.from=example.org\r\n"
	got := Format("mx.example.com", results...)
	if got != want {
		t.Errorf("got\n%s", got)
	}
	if got := Format("mx.example.com"); got != "Authentication-Results: mx.example.com; none\r\n" {
		t.Errorf("without results: %q", got)
	}
	if got := FromDKIM(&dkim.Verdict{}); len(got) != 1 || got[0].Value != "none" {
		t.Errorf("without signatures: %+v", got)
	}
}

// Values come from the client. They cannot change the structure of the field.
func TestFormatCannotBeEscaped(t *testing.T) {
	evil := []string{"x\r\nEvil: 1", `a"; dkim=pass header.d=good.example`, "a; spf=pass", "a (b", `\`, "a\x00b", "é", strings.Repeat("x", 5000), strings.Repeat(`"(`, 500), "=", ""}
	for _, s := range evil {
		in := Result{Method: "x", Value: "fail", Reason: s, Comment: s, Properties: []Property{{"smtp", "mailfrom", s}, {"header", "d", "user@" + s}}}
		got := Format("mx.example.com", in, Result{Method: "last", Value: "none"})
		for i, line := range strings.Split(strings.TrimSuffix(got, "\r\n"), "\r\n") {
			if i > 0 && !strings.HasPrefix(line, "\t") || strings.ContainsAny(line, "\r\n\x00") || len(line) > 998 {
				t.Errorf("%q: line %q", s, line)
			}
		}
		id, results, err := Parse(strings.TrimPrefix(got, "Authentication-Results:"))
		if err != nil || id != "mx.example.com" || len(results) != 2 || results[0].Method != "x" || results[0].Value != "fail" || results[1].Method != "last" {
			t.Errorf("%.40q: read back as %q, %+v, %v", s, id, results, err)
			continue
		}
		if printable(s) != results[0].Reason {
			t.Errorf("reason %q came back as %q", s, results[0].Reason)
		}
	}
	got := Format("x", Result{Method: "a b=c;d", Value: ""})
	if got != "Authentication-Results: x;\r\n\tabcd=unknown\r\n" {
		t.Errorf("keywords: %q", got)
	}
}

// The examples of RFC 8601, appendix B, and unusual but valid syntax.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		field   string
		id      string
		results []Result
	}{
		{"example.org 1; none", "example.org", nil},
		{" example.com;\r\n      spf=pass smtp.mailfrom=example.net", "example.com",
			[]Result{{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "example.net"}}}}},
		{"example.com; auth=pass (cram-md5) smtp.auth=sender@example.net; spf=pass smtp.mailfrom=example.net", "example.com", []Result{
			{Method: "auth", Value: "pass", Properties: []Property{{"smtp", "auth", "sender@example.net"}}},
			{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "example.net"}}}}},
		{`foo.example.net (foobar) 1 (baz);
			dkim (Because I like it) / 1 (One yay) = (wait for it) fail
			policy (A dot can go here) . (like that) expired
			(this surprised me) = (as I wasn't expecting it) 1362471462`, "foo.example.net", []Result{
			{Method: "dkim", Value: "fail", Properties: []Property{{"policy", "expired", "1362471462"}}}}},
		{`"mx example"; dkim=pass reason="good \"signature\"" header.i=@mail-router.example.net`, "mx example", []Result{
			{Method: "dkim", Value: "pass", Reason: `good "signature"`, Properties: []Property{{"header", "i", "@mail-router.example.net"}}}}},
		{"example.com;;;iprev=pass policy.iprev=192.0.2.1 ; ", "example.com", []Result{
			{Method: "iprev", Value: "pass", Properties: []Property{{"policy", "iprev", "192.0.2.1"}}}}},
	} {
		id, results, err := Parse(c.field)
		if err != nil || id != c.id || !reflect.DeepEqual(results, c.results) {
			t.Errorf("%q: %q, %+v, %v", c.field, id, results, err)
		}
	}
	for field, want := range map[string]string{
		"":                                    "authserv-id",
		"; spf=pass":                          "authserv-id",
		`"open; spf=pass`:                     "not closed",
		"a b; spf=pass":                       "unexpected text between",
		"a; spf":                              "not followed by =",
		"a; spf=":                             "expected a word",
		"a; spf=pass smtp.mailfrom":           "has no value",
		"a; spf=pass smtp.mailfrom=;":         "expected a value",
		"a; spf=pass, dkim=pass":              "expected a word",
		"a" + strings.Repeat(";spf=pass", 60): "more than 50",
	} {
		if _, _, err := Parse(field); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", field, err, want)
		}
	}
}

func TestIsForged(t *testing.T) {
	for value, want := range map[string]bool{
		"mx.example.com; spf=pass":               true,
		"MX.Example.COM; spf=pass":               true,
		"mx.example.com. ; spf=pass":             true,
		"mx.example.com 1; spf=pass":             true,
		"mx.example.com":                         true,
		"(hello) mx.example.com (x); spf=pass":   true,
		`"mx.example.com"; spf=pass`:             true,
		`"mx.exam\ple.com"; spf=pass`:            true,
		"old.example.com; spf=pass":              true,
		"other.example; spf=pass":                false,
		"other.example; x=y mx.example.com":      false,
		"mx.example.com.evil.example; spf=pass":  false,
		"":                                       true, // no id
		"; mx.example.com; spf=pass":             true,
		"other.example mx.example.com; spf=pass": true,
		"(mx.example.com; spf=pass":              true,
		// Less strict readers take these for our id.
		`" mx.example.com "; spf=pass`:         true,
		"\u00a0mx.example.com\u3000; spf=pass": true,
		"mx.ex\u200bample.com; spf=pass":       true,
		"ｍｘ．example。com; spf=pass":             true,
		"mx\x00.example.com; spf=pass":         true,
		"mx.example.com\xff; spf=pass":         true,
		"=?utf-8?q?mx.example.com?=; spf=pass": true,
		"mx.example.com/x; spf=pass":           true,
		"mx.example.com=x; spf=pass":           true,
		"b\u00fccher.example; spf=pass":        true,
		"XN--Bcher-KVA.example.; spf=pass":     true,
		"b\u00fccher.other.example; spf=pass":  false,
		"mx_1.example.com; spf=pass":           false,
	} {
		if got := IsForged(value, "mx.example.com", "old.example.com", "xn--bcher-kva.example"); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("example.com; auth=pass (cram-md5) smtp.auth=a@b; dkim=fail reason=\"x\" header.d=y")
	f.Add(`(a(b)"c\) "x" 1;none;y/1=z p.q="r`)
	f.Fuzz(func(t *testing.T, s string) {
		id, results, err := Parse(s)
		if err != nil || id == "" {
			return
		}
		id2, again, err := Parse(Body(id, results...))
		if err != nil || id2 != printable(id) || len(again) != len(results) {
			t.Errorf("%q: %q %+v, then %q %+v, %v", s, id, results, id2, again, err)
		}
	})
}
