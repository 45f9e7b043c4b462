package dmarc

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// newChecker returns a Checker that uses a *net.Resolver and an in-memory DNS
// server.
func newChecker(t testing.TB, zones ...string) (*Checker, *dnstest.Server) {
	t.Helper()
	dns, err := dnstest.InMemory(zones...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dns.Close() })
	return &Checker{Resolver: &resolver.Net{Resolver: &net.Resolver{PreferGo: true, Dial: dns.Dial}}}, dns
}

// The eight names of RFC 9989, 4.10, and shorter walks.
func TestSteps(t *testing.T) {
	for domain, want := range map[string]string{
		"com":                "com",
		"example.com":        "example.com com",
		"a.mail.example.com": "a.mail.example.com mail.example.com example.com com",
		"a.b.c.d.e.f.g.h":    "a.b.c.d.e.f.g.h b.c.d.e.f.g.h c.d.e.f.g.h d.e.f.g.h e.f.g.h f.g.h g.h h",
		"a.b.c.d.e.f.g.h.i.j.mail.example.com": "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com h.i.j.mail.example.com " +
			"i.j.mail.example.com j.mail.example.com mail.example.com example.com com",
	} {
		got := steps(domain)
		if strings.Join(got, " ") != want || len(got) > maxQueries {
			t.Errorf("%s: %s", domain, got)
		}
	}
}

// Organizational domains and policies by the DNS Tree Walk (RFC 9989, 4.10.1
// and 4.10.2). Each zone has the records that exist.
func TestTreeWalk(t *testing.T) {
	for _, c := range []struct {
		name, records, domain, org, policy string
	}{
		{"no record", "", "a.mail.example.com", "a.mail.example.com", ""},
		{"the domain's own", "mail.example.com=p=reject", "mail.example.com", "mail.example.com", "mail.example.com"},
		{"the fewest labels win", "mail.example.com=p=none example.com=p=reject", "a.mail.example.com", "example.com", "example.com"},
		{"own record, organization above", "a.mail.example.com=p=none example.com=p=reject", "a.mail.example.com", "example.com", "a.mail.example.com"},
		{"psd=n stops", "mail.example.com=p=none;psd=n example.com=p=reject", "a.mail.example.com", "mail.example.com", "mail.example.com"},
		{"psd=n at the start", "a.mail.example.com=p=none;psd=n example.com=p=reject", "a.mail.example.com", "a.mail.example.com", "a.mail.example.com"},
		{"psd=y: one label below", "com=p=reject;psd=y", "a.mail.example.com", "example.com", "com"},
		{"psd=y, the organization has a record", "com=p=reject;psd=y example.com=p=none", "a.mail.example.com", "example.com", "example.com"},
		{"psd=y, a record below the organization", "com=p=reject;psd=y mail.example.com=p=none", "a.mail.example.com", "example.com", "com"},
		{"psd=y right above", "com=p=reject;psd=y", "example.com", "example.com", "com"},
		{"psd=y of two labels stops the walk", "co.example=p=reject;psd=y example=p=none;psd=y", "shop.co.example", "shop.co.example", "co.example"},
		{"psd=y at the start", "com=p=reject;psd=y", "com", "com", "com"},
		{"psd=y at the start, more above", "co.example=p=reject;psd=y example=p=none", "co.example", "co.example", "co.example"},
		{"a plain record at the top", "com=p=reject", "mail.example.com", "com", "com"},
		{"several records are none", "mail.example.com=p=none mail.example.com=p=reject example.com=p=reject", "mail.example.com", "example.com", "example.com"},
		{"other text beside a record", "example.com=p=reject", "example.com", "example.com", "example.com"},
		{"beyond eight queries nothing is found", "d.e.f.g.h.i.j.mail.example.com=p=none", "a.b.c.d.e.f.g.h.i.j.mail.example.com", "a.b.c.d.e.f.g.h.i.j.mail.example.com", ""},
		{"seven labels are found", "h.i.j.mail.example.com=p=none", "a.b.c.d.e.f.g.h.i.j.mail.example.com", "h.i.j.mail.example.com", "h.i.j.mail.example.com"},
	} {
		var zone strings.Builder
		for _, record := range strings.Fields(c.records) {
			domain, tags, _ := strings.Cut(record, "=")
			zone.WriteString("_dmarc." + domain + `. TXT "v=DMARC1;` + tags + "\"\n")
			zone.WriteString("_dmarc." + domain + `. TXT "hello"` + "\n")
		}
		checker, dns := newChecker(t, zone.String())
		p, err := checker.tree(t.Context()).find(c.domain)
		if err != nil || p.org != c.org || p.domain != c.policy || (p.record == nil) != (c.policy == "") {
			t.Errorf("%s: organization %s, policy of %q (%v); want %s, %q", c.name, p.org, p.domain, err, c.org, c.policy)
		}
		asked := 0
		for _, name := range steps(c.domain) {
			asked += dns.Count("_dmarc."+name, "TXT")
		}
		if asked > maxQueries {
			t.Errorf("%s: %d queries", c.name, asked)
		}
	}
}

// The same with the public suffix list (RFC 7489).
func TestPublicSuffixList(t *testing.T) {
	for _, c := range []struct{ name, records, domain, org, policy string }{
		{"no record", "", "a.mail.example.com", "example.com", ""},
		{"the organization's", "mail.example.co.uk=p=none example.co.uk=p=reject", "a.mail.example.co.uk", "example.co.uk", "example.co.uk"},
		{"the domain's own", "a.example.com=p=none example.com=p=reject", "a.example.com", "example.com", "a.example.com"},
		{"psd says nothing here", "mail.example.com=p=none;psd=n example.com=p=reject", "a.mail.example.com", "example.com", "example.com"},
		{"a suffix itself", "", "co.uk", "co.uk", ""},
		{"no suffix of the list", "example.test=p=reject", "a.example.test", "example.test", "example.test"},
	} {
		var zone strings.Builder
		for _, record := range strings.Fields(c.records) {
			domain, tags, _ := strings.Cut(record, "=")
			zone.WriteString("_dmarc." + domain + `. TXT "v=DMARC1;` + tags + "\"\n")
		}
		checker, _ := newChecker(t, zone.String())
		checker.PublicSuffixList = true
		p, err := checker.tree(t.Context()).find(c.domain)
		if err != nil || p.org != c.org || p.domain != c.policy {
			t.Errorf("%s: organization %s, policy of %q (%v); want %s, %q", c.name, p.org, p.domain, err, c.org, c.policy)
		}
	}
}

// Reports are sent within the organization, and to other organizations only if
// they agree (RFC 9990, 4).
func TestDestinations(t *testing.T) {
	checker, dns := newChecker(t, `
		_dmarc.example.com. TXT "v=DMARC1; p=none"
		example.com._report._dmarc.agreed.example. TXT "v=DMARC1"
		*._report._dmarc.all.example. TXT "v=DMARC1;"
		example.com._report._dmarc.moved.example. TXT "v=DMARC1; rua=mailto:new@moved.example"
		example.com._report._dmarc.further.example. TXT "v=DMARC1; rua=mailto:x@victim.example"
		example.com._report._dmarc.wrong.example. TXT "v=spf1 -all"`)
	dns.Fault("example.com._report._dmarc.dead.example", "TXT", dnstest.Fault{Rcode: 2})
	r := &Record{Reports: []string{
		"mailto:a@example.com", "MAILTO:b@reports.example.com", "mailto:c@agreed.example?subject=x", "mailto:d@all.example",
		"mailto:old@moved.example", "mailto:e@further.example", "mailto:f@wrong.example", "mailto:g@stranger.example",
		"mailto:h@dead.example", "https://example.com/report", "mailto:nobody", "mailto:a@example.com",
	}}
	got, err := checker.Destinations(t.Context(), "example.com", r)
	want := []string{"MAILTO:b@reports.example.com", "mailto:a@example.com", "mailto:c@agreed.example?subject=x", "mailto:d@all.example", "mailto:new@moved.example"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if err == nil || !strings.Contains(err.Error(), "dead.example") {
		t.Errorf("error %v", err)
	}
}
