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
		{"testing", "version: STSv1\nmode: testing\nmx: A.Example.\nmax_age: 31557600\n"},
	} {
		if _, err := ParsePolicy(tt.text); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{"", "no version"},
		{"<html>not found</html>", "is no field"},
		{"mode: enforce\nversion: STSv1\n", "begins with"},
		{"version: STSv2\n", "is not STSv1"},
		{"version: STSv1\nmx: a.example\nmax_age: 1\n", "no mode"},
		{"version: STSv1\nmode: enforced\n", "is not enforce"},
		{"version: STSv1\nmode: enforce\nmx: a.example\n", "no max_age"},
		{"version: STSv1\nmode: enforce\nmax_age: 1\n", "no mx"},
		{"version: STSv1\nmode: enforce\nmax_age: 31557601\n", "is not between"},
		{"version: STSv1\nmode: enforce\nmax_age: -1\n", "is not between"},
		{"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", "is no host name"},
		{"version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n", "is no host name"},
		{"version: STSv1\nmode: enforce\nmx: ../../etc\nmax_age: 1\n", "is no host name"},
		{good + strings.Repeat("mx: a.example\n", maxMX), "more than"},
		{strings.Repeat("x", maxPolicy+1), "longer than"},
	} {
		if p, err := ParsePolicy(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: %+v, %v; want an error with %q", tt.text, p, err, tt.want)
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
			if !validPattern(mx) || !p.Matches(strings.Replace(mx, "*", "x", 1)) {
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
