package wire

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// reply returns a reply to the query for the MX records of example.net.
func reply(t *testing.T, zone string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("example.net.", dns.TypeMX))
	m.RecursionAvailable = true
	p := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		m.Answer = append(m.Answer, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAnswer(t *testing.T) {
	for zone, want := range map[string]string{
		"example.net. 60 MX 10 a.example.\nexample.net. 30 MX 20 b.example.": "example.net [{10 a.example} {20 b.example}] 30s",
		"example.net. 60 CNAME c.example.\nc.example. 90 MX 0 .":             "c.example [{0 .}] 1m0s",
		"example.net. 60 A 192.0.2.1":                                        "no such record",
		"other.example. 60 MX 10 a.example.":                                 "DNS lookup failed",
		"example.net. 60 CNAME example.net.":                                 "CNAME loop",
		"":                                                                   "no such record",
	} {
		a, ttl, err := Answer(reply(t, zone), "example.net", resolver.TypeMX, false)
		got := ""
		if err != nil {
			got = err.Problem.String()
		} else {
			got = fmt.Sprint(a.Name, " ", a.MX, " ", ttl)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", zone, got, want)
		}
	}
}

// The AD bit counts only if the servers can be trusted.
func TestAuthenticatedAnswer(t *testing.T) {
	for _, trust := range []bool{true, false} {
		for _, ad := range []bool{true, false} {
			m := reply(t, "example.net. 60 MX 10 a.example.")
			m.AuthenticatedData = ad
			if a, _, err := Answer(m, "example.net", resolver.TypeMX, trust); err != nil || a.Secure != (trust && ad) {
				t.Errorf("trust %v, AD %v: %+v, %v", trust, ad, a, err)
			}
		}
	}
}

// A record whose address has no valid length cannot be read. If there is no other,
// the answer is not valid: it is not an answer without records.
func TestUnreadableRecord(t *testing.T) {
	m := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("example.net.", dns.TypeA))
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "example.net.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IP{1, 2, 3}}}
	if a, ttl, err := Answer(m, "example.net", resolver.TypeA, false); err == nil || !err.Temporary() || ttl != FailureTTL {
		t.Errorf("%+v, %v, %v", a, ttl, err)
	}
}

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"escape":   func(s string) { escape(s) },
		"unescape": func(s string) { unescape(s) },
		"nameText": func(s string) { nameText(s) },
		"Valid":    func(s string) { Valid(s) },
	}, append([]string{`\.`, `\046`, `\\`}, doubling.Units...))
}
