package routing

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

const netWorld = `
	example.net.       MX   10 mx1.example.net.
	example.net.       MX   20 mx2.example.net.
	example.net.       TXT  "v=spf1 " "mx -all"
	example.net.       TXT  "quote\" back\\slash \195\169; end"
	mx1.example.net.   A    192.0.2.1
	mx1.example.net.   AAAA 2001:db8::1
	mx2.example.net.   A    192.0.2.2
	strong+bad=x:y/z.example.net. A 192.0.2.9
	a\@b\ c.example.net. A 192.0.2.10
	1.2.0.192.in-addr.arpa. PTR mx1.example.net.
	deep.below.example.net. A 192.0.2.3`

// NetResolver and net.Resolver give the same answers, except for names that
// net.Resolver does not support.
func TestNetResolver(t *testing.T) {
	server, resolver := inMemory(t, netWorld)
	r := &NetResolver{resolver}
	ctx := t.Context()

	txts, err := r.LookupTXT(ctx, "example.net.")
	if slices.Sort(txts); err != nil || !slices.Equal(txts, []string{"quote\" back\\slash \xc3\xa9; end", "v=spf1 mx -all"}) {
		t.Errorf("TXT %q, %v", txts, err)
	}
	if mxs, err := r.LookupMX(ctx, "example.net"); err != nil || len(mxs) != 2 || mxs[0].Host != "mx1.example.net." || mxs[0].Pref != 10 {
		t.Errorf("MX %v, %v", mxs, err)
	}
	for _, c := range []struct{ network, host, want string }{
		{"ip4", "mx1.example.net", "192.0.2.1"},
		{"ip6", "mx1.example.net", "2001:db8::1"},
		{"ip", "mx1.example.net", "192.0.2.1 2001:db8::1"},
		{"ip", "mx2.example.net", "192.0.2.2"},
		{"ip4", "strong+bad=x:y/z.example.net", "192.0.2.9"},
		{"ip4", "a@b c.example.net", "192.0.2.10"},
		{"ip6", "mx2.example.net", ""},
		{"ip", "unknown.example.net", ""},
		{"ip4", "bad..name", ""},
	} {
		ips, err := r.LookupNetIP(ctx, c.network, c.host)
		var got []string
		for _, ip := range ips {
			got = append(got, ip.String())
		}
		var e *net.DNSError
		notFound := errors.As(err, &e) && e.IsNotFound && !e.IsTemporary
		if strings.Join(got, " ") != c.want || notFound != (c.want == "") {
			t.Errorf("%s of %s: %v, %v", c.network, c.host, ips, err)
		}
	}
	if names, err := r.LookupAddr(ctx, "192.0.2.1"); err != nil || !slices.Equal(names, []string{"mx1.example.net."}) {
		t.Errorf("PTR %v, %v", names, err)
	}
	if _, err := r.LookupAddr(ctx, "nonsense"); err == nil {
		t.Error("nonsense has names")
	}
	for name, want := range map[string]bool{"example.net": true, "below.example.net": true, "mx2.example.net": true, "unknown.example.net": false, "bad..name": false} {
		if exists, err := r.NameExists(ctx, name); exists != want || err != nil {
			t.Errorf("%s exists: %v, %v", name, exists, err)
		}
	}

	server.Fault("dead.example", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	server.Fault("mx1.example.net", "AAAA", dnstest.Fault{Rcode: dns.RcodeRefused})
	server.Fault("mx3.example.net", "AAAA", dnstest.Fault{Rcode: dns.RcodeRefused})
	server.Add("mx3.example.net. TXT \"no A\"")
	server.Add("loop.example. CNAME loop.example.")
	fresh := &NetResolver{&DNSResolver{Servers: []string{"ns1"}, Dial: server.Dial}}
	for what, ask := range map[string]func() error{
		"TXT":         func() error { _, err := fresh.LookupTXT(ctx, "dead.example"); return err },
		"MX":          func() error { _, err := fresh.LookupMX(ctx, "dead.example"); return err },
		"A":           func() error { _, err := fresh.LookupNetIP(ctx, "ip4", "dead.example"); return err },
		"one family":  func() error { _, err := fresh.LookupNetIP(ctx, "ip6", "mx1.example.net"); return err },
		"no other":    func() error { _, err := fresh.LookupNetIP(ctx, "ip", "mx3.example.net"); return err },
		"existence":   func() error { _, err := fresh.NameExists(ctx, "dead.example"); return err },
		"alias chain": func() error { _, err := fresh.LookupTXT(ctx, "loop.example"); return err },
	} {
		var e *net.DNSError
		if err := ask(); !errors.As(err, &e) || e.IsNotFound || !e.IsTemporary {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a@b c;\"\\.example")
	f.Add("\x00\xff\\032")
	f.Fuzz(func(t *testing.T, s string) {
		if got := unescape(escape(s)); got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// If the lookup of one family fails, the addresses of the other are returned,
// as with net.Resolver.
func TestNetResolverWithOneFamilyFailing(t *testing.T) {
	s := dnstest.New(t, `
		six.example.  A    192.0.2.1
		four.example. AAAA 2001:db8::1`)
	s.Fault("six.example", "AAAA", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	s.Fault("four.example", "A", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	ours := &NetResolver{&DNSResolver{Servers: []string{s.Addr}}}
	theirs := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Addr)
	}}
	for host, want := range map[string]string{"six.example.": "192.0.2.1", "four.example.": "2001:db8::1"} {
		for _, r := range []interface {
			LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
		}{ours, theirs} {
			if got, err := r.LookupNetIP(t.Context(), "ip", host); err != nil || len(got) != 1 || got[0].String() != want {
				t.Errorf("%T, %s: %v, %v", r, host, got, err)
			}
		}
	}
}
