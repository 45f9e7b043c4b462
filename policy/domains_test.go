package policy

import (
	"strings"
	"testing"
)

func mustDomains(t testing.TB, domains ...Domain) *Domains {
	t.Helper()
	ds, err := NewDomains(domains...)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func TestDomainsLookup(t *testing.T) {
	ds := mustDomains(t,
		Domain{Name: "example.com"},
		Domain{Name: "*.example.com", Kind: InternalRelay},
		Domain{Name: "*.deep.example.com", Kind: ExternalRelay},
		Domain{Name: "lab.deep.example.com"},
		Domain{Name: "bücher.example"},
		Domain{Name: "[192.0.2.1]"})
	for _, tt := range []struct{ domain, want string }{
		{"example.com", "example.com"},
		{"EXAMPLE.Com.", "example.com"},
		{"sub.example.com", "*.example.com"},
		{"a.b.example.com", "*.example.com"},
		{"deep.example.com", "*.example.com"},
		{"x.deep.example.com", "*.deep.example.com"},
		{"lab.deep.example.com", "lab.deep.example.com"},
		{"y.lab.deep.example.com", "*.deep.example.com"},
		{"xn--bcher-kva.example", "bücher.example"},
		{"BÜCHER.example", "bücher.example"},
		{"[192.0.2.1]", "[192.0.2.1]"},

		{"", ""},
		{"com", ""},
		{"badexample.com", ""}, // has the same ending, but is another domain
		{"example.com.evil.example", ""},
		{"example.org", ""},
		{"[192.0.2.2]", ""},
		{"xn--\u00fc.example", ""},
	} {
		got := ""
		if d := ds.Lookup(tt.domain); d != nil {
			got = d.Name
		}
		if got != tt.want {
			t.Errorf("Lookup(%q) = %q, want %q", tt.domain, got, tt.want)
		}
	}
	var none *Domains
	if none.Lookup("example.com") != nil || none.Default() != "" {
		t.Error("a nil *Domains accepts something")
	}
}

func TestDefaultDomain(t *testing.T) {
	for _, tt := range []struct {
		domains []Domain
		want    string
	}{
		{nil, ""},
		{[]Domain{{Name: "*.example.com"}}, ""},
		{[]Domain{{Name: "*.example.com"}, {Name: "example.org"}, {Name: "example.com"}}, "example.org"},
		{[]Domain{{Name: "example.org"}, {Name: "Example.COM", Default: true}}, "example.com"},
	} {
		if got := mustDomains(t, tt.domains...).Default(); got != tt.want {
			t.Errorf("%v: default %q, want %q", tt.domains, got, tt.want)
		}
	}
}

func TestNewDomainsErrors(t *testing.T) {
	for _, tt := range []struct {
		domains []Domain
		want    string
	}{
		{[]Domain{{Name: ""}}, `accepted domain "": not a domain name`},
		{[]Domain{{Name: "*"}}, `accepted domain "*": not a domain name`},
		{[]Domain{{Name: "*."}}, `accepted domain "*."`},
		{[]Domain{{Name: "user@example.com"}}, `accepted domain "user@example.com": not a domain name`},
		{[]Domain{{Name: "a..b"}}, `accepted domain "a..b": not a domain name`},
		{[]Domain{{Name: "xn--\u00fc.example"}}, `domain "xn--ü.example"`},
		{[]Domain{{Name: "example.com"}, {Name: "Example.COM"}}, `accepted domain "Example.COM": listed twice`},
		{[]Domain{{Name: "example.com", Kind: 7}}, `accepted domain "example.com": no such kind: 7`},
		{[]Domain{{Name: "*.example.com", Default: true}}, "a pattern cannot be the default domain"},
		{[]Domain{{Name: "a.example", Default: true}, {Name: "b.example", Default: true}}, `accepted domain "b.example": "a.example" is already the default domain`},
	} {
		_, err := NewDomains(tt.domains...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: error %v, want one with %q", tt.domains, err, tt.want)
		}
	}
	_, err := NewDomains(Domain{Name: "*"}, Domain{Name: "a..b"})
	if err == nil || !strings.Contains(err.Error(), `"*"`) || !strings.Contains(err.Error(), "a..b") {
		t.Errorf("the error does not name all: %v", err)
	}
}
