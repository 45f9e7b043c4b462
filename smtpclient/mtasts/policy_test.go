package mtasts

import (
	"strings"
	"testing"
	"time"
)

const good = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"

func TestParsePolicy(t *testing.T) {
	p, err := ParsePolicy(good)
	if err != nil || p.Mode != Enforce || len(p.MX) != 2 || p.MaxAge != 7*24*time.Hour || p.Text != good {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, tt := range []struct{ name, text string }{
		{"LF line ends", strings.ReplaceAll(good, "\r\n", "\n")},
		{"no last line end", strings.TrimSuffix(good, "\r\n")},
		{"no space", strings.ReplaceAll(good, ": ", ":")},
		{"unknown field", good + "future: yes\r\n"},
		{"second mode does not count", good + "mode: none\r\n"},
		{"none needs no mx", "version: STSv1\nmode: none\nmax_age: 0\n"},
		{"mode first", "mode: enforce\nversion: STSv1\nmx: a.example\nmax_age: 604800\n"},
		{"version last", "max_age: 604800\nmx: a.example\nmode: enforce\nversion: STSv1\n"},
		{"testing", "version: STSv1\nmode: testing\nmx: A.Example.\nmax_age: 31557600\n"},
	} {
		if _, err := ParsePolicy(tt.text); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{"", "no version"},
		{"<html>not found</html>", "is not a field"},
		{"mode: enforce\nmx: a.example\nmax_age: 1\n", "no version"},
		{"max_age: 1\nversion: STSv2\n", "is not STSv1"},
		{"version: STSv2\n", "is not STSv1"},
		{"version: STSv1\nmx: a.example\nmax_age: 1\n", "no mode"},
		{"version: STSv1\nmode: enforced\n", "is not enforce"},
		{"version: STSv1\nmode: enforce\nmx: a.example\n", "no max_age"},
		{"version: STSv1\nmode: enforce\nmax_age: 1\n", "no mx"},
		{"version: STSv1\nmode: enforce\nmax_age: -1\n", "is not a number"},
		{"version: STSv1\nmode: enforce\nmax_age: 1 day\n", "is not a number"},
		{"version: STSv1\nmode: enforce\nmax_age:\n", "is not a number"},
		{"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", "is not a host name"},
		{"version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n", "is not a host name"},
		{"version: STSv1\nmode: enforce\nmx: ../../etc\nmax_age: 1\n", "is not a host name"},
		{good + strings.Repeat("mx: a.example\n", maxMX), "more than"},
		{strings.Repeat("x", maxPolicy+1), "longer than"},
	} {
		if p, err := ParsePolicy(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: %+v, %v; want an error with %q", tt.text, p, err, tt.want)
		}
	}
}

// A max_age above the maximum of RFC 8461, 3.2 is reduced to the maximum.
func TestMaxAge(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "86400": 24 * time.Hour, "31557600": maxMaxAge, "31557601": maxMaxAge, "63072000": maxMaxAge,
		"9999999999": maxMaxAge, "99999999999999999999999999": maxMaxAge,
	} {
		p, err := ParsePolicy("version: STSv1\nmode: testing\nmx: a.example\nmax_age: " + text)
		if err != nil || p.MaxAge != want {
			t.Errorf("%s: %+v, %v; want %v", text, p, err, want)
		}
	}
}

// An mx that is not a host name does not invalidate the others.
func TestBadMX(t *testing.T) {
	for _, bad := range []string{"", "*", "a.*.example", "a b.example", "ex\u00e4mple.net", "*.", "192.0.2.1:25"} {
		text := "version: STSv1\nmode: enforce\nmx: a.example\nmx: " + bad + "\nmx: *.b.example\nmax_age: 86400\n"
		p, err := ParsePolicy(text)
		if err != nil || strings.Join(p.MX, " ") != "a.example *.b.example" {
			t.Errorf("%q: %+v, %v", bad, p, err)
		}
	}
}

// Twice the policy takes about twice the time.
func TestParsePolicyIsLinear(t *testing.T) {
	for _, line := range []string{"mx: a.example\n", "mx: *\n", "x: y\n", "\n", ":\n"} {
		parse := func(n int) float64 {
			text := "version: STSv1\n" + strings.Repeat(line, n)
			return testing.AllocsPerRun(5, func() { ParsePolicy(text) })
		}
		if one, two := parse(1000), parse(2000); two > 3*one+50 {
			t.Errorf("%q: %v allocations for 1000 lines, %v for 2000", line, one, two)
		}
	}
}

func TestMatches(t *testing.T) {
	p := &Policy{MX: []string{"mail.example.com", "*.example.net"}}
	for host, want := range map[string]bool{
		"mail.example.com": true, "MAIL.example.COM.": true, "mx.example.net": true,
		"example.net": false, "a.b.example.net": false, "mail.example.org": false, "xmail.example.com": false, "": false,
	} {
		if got := p.Matches(host); got != want {
			t.Errorf("Matches(%q) = %v", host, got)
		}
	}
}

func TestParseRecord(t *testing.T) {
	for _, tt := range []struct {
		txts []string
		want string
	}{
		{[]string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
		{[]string{"v=STSv1;id=a"}, "a"},
		{[]string{"v=spf1 -all", "v=STSv1; id=a; more=b"}, "a"},
		{[]string{"v=STSv1; id=a", "v=STSv1; id=b"}, ""},
		{[]string{"v=STSv1"}, ""},
		{[]string{"v=STSv1; id=not-valid"}, ""},
		{[]string{"v=STSv1; id=" + strings.Repeat("a", 33)}, ""},
		{[]string{"v=STSv12; id=a"}, ""},
		{nil, ""},
	} {
		if got := parseRecord(tt.txts); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.txts, got, tt.want)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(good)
	f.Add("version: STSv1\nmode: none\nmax_age: 0\n")
	f.Add(fileVersion + "\nid: a\nfetched: 2026-01-02T03:04:05Z\n\n" + good)
	f.Add("version:\r\r\n:::\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := parseEntry(text); err == nil && (e.policy == nil || !validID(e.id)) {
			t.Fatalf("%+v", e)
		}
		p, err := ParsePolicy(text)
		if err != nil {
			return
		}
		if p.MaxAge < 0 || p.MaxAge > maxMaxAge || p.Mode != None && len(p.MX) == 0 {
			t.Fatalf("%+v", p)
		}
		for _, mx := range p.MX {
			if c, err := pattern(mx); err != nil || c != mx || !p.Matches(strings.Replace(mx, "*", "x", 1)) {
				t.Fatalf("mx %q", mx)
			}
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;", "v=spf1 -all")
	f.Add("v=STSv1;;id==;id=a b", "v=STSv1")
	f.Fuzz(func(t *testing.T, a, b string) {
		if id := parseRecord([]string{a, b}); id != "" && !validID(id) {
			t.Fatalf("%q from %q and %q", id, a, b)
		}
	})
}
