package policy

import (
	"context"
	"strings"
	"testing"
)

// Each setting accepts names that IDNA refuses, and treats a U-label like its
// A-label.
func TestNamesInSettings(t *testing.T) {
	for setting, asReceived := range map[string]string{
		"pr--7.example": "PR--7.Example", "r3---sn-x.example": "r3---SN-x.example", "xn--a.example": "XN--a.example",
		"a_b.example": "a_B.example", "-a-.example": "-A-.example",
		"bücher.example": "xn--bcher-kva.example", "xn--strae-oqa.example": "STRAßE。example",
	} {
		domains, err := NewDomains(Domain{Name: setting}, Domain{Name: "*." + setting})
		if err != nil {
			t.Error(err)
			continue
		}
		if domains.Lookup(asReceived) == nil || domains.Lookup("x."+asReceived) == nil || domains.Lookup(asReceived+".") == nil {
			t.Errorf("%s is not the accepted domain %s", asReceived, setting)
		}
		m, errs := newAddressMatcher("filter", []string{"bob@" + setting}, []string{"*." + setting})
		if len(errs) > 0 || !m.has("Bob@"+asReceived) || !m.has("x@y."+asReceived) || m.has("x@"+asReceived) {
			t.Errorf("filter of %s: %v", setting, errs)
		}
		if there, err := Recipients("alice@"+setting).Exists(context.Background(), "ALICE@"+asReceived); !there || err != nil {
			t.Errorf("directory of %s: %v, %v", setting, there, err)
		}
		if ps, errs := patterns("hosts", []string{setting, "*." + setting}, nil); len(errs) > 0 || len(ps) != 2 {
			t.Errorf("host %s: %v", setting, errs)
		}
		if r := filterFor(setting); r.Validate() != nil {
			t.Errorf("recipient filter of %s: %v", setting, r.Validate())
		}
	}
	for _, wrong := range []string{"", ".", "a..example", "a b.example", "a\uff1eb.example", "a\u3000b.example", "a≯b.example", "a/b.example", strings.Repeat("a", 64) + ".example", "*.*.example", "[192.0.2.300]"} {
		if _, err := NewDomains(Domain{Name: wrong}); err == nil {
			t.Errorf("accepted domain %q: no error", wrong)
		}
		if ps, errs := patterns("hosts", []string{wrong}, nil); len(errs) == 0 {
			t.Errorf("host %q: %q", wrong, ps)
		}
	}
	for _, literal := range []string{"[192.0.2.1]", "[IPv6:2001:DB8::1]", "[IPv6:::ffff:192.0.2.1]"} {
		domains, err := NewDomains(Domain{Name: literal})
		if err != nil || domains.Lookup(literal) == nil {
			t.Errorf("accepted literal %s: %v", literal, err)
		}
		if _, err := NewDomains(Domain{Name: "*." + literal}); err == nil {
			t.Errorf("*.%s: no error", literal)
		}
		if _, errs := patterns("hosts", []string{literal}, nil); len(errs) == 0 {
			t.Errorf("host %s: no error", literal)
		}
	}
}

// filterFor is a filter with the name in each of its lists.
func filterFor(name string) *RecipientFilter {
	return &RecipientFilter{Addresses: []string{"a@" + name}, Domains: []string{name}, Internal: []string{"b@" + name}}
}

// In a local part, a character that some functions map to an ASCII letter is
// not that letter, because the mailbox host does not map it.
func TestNonASCIIIsNotMappedToASCII(t *testing.T) {
	list := Recipients("bok@example.com", "jörg@example.com", "postmaster")
	for address, want := range map[string]bool{
		"BOK@example.com": true, "JÖRG@example.com": true, "Postmaster@example.com": true,
		"bo\u212a@example.com": false, "po\u017ftmaster@example.com": false, "bok@example.c\u24deм": false,
		"bok@\uff45xample.com": true, // a domain is mapped by IDNA
	} {
		if there, err := list.Exists(context.Background(), address); there != want || err != nil {
			t.Errorf("%q: %v, %v", address, there, err)
		}
	}
	if isPostmaster("po\u017ftmaster") || isPostmaster("\u0130") {
		t.Error("a non-ASCII character counts as the s of postmaster")
	}
}
