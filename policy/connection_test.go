package policy

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func networks(t testing.TB, list ...string) *Networks {
	t.Helper()
	n, err := ReadNetworks(strings.NewReader(strings.Join(list, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const tryToReachAlice = `
	S: 220
	C: EHLO client.example
	S: 250
	C: MAIL FROM:<someone@example.net>
	S: 250
	C: RCPT TO:<postmaster@example.com>
	S: 250
	C: RCPT TO:<alice@example.com>
	S: `

func TestConnectionFilter(t *testing.T) {
	f := &ConnectionFilter{
		Allow:      networks(t, "192.0.2.0/28"),
		AllowHosts: []string{"*.friend.example"},
		Block:      networks(t, "192.0.2.0/24", "2001:db8::/32"),
		BlockHosts: []string{"*.dynamic.example"},
		AllowLists: []DNSList{{Zone: "allow.example"}},
		BlockLists: []DNSList{
			{Zone: "strong.example", Weight: 2, Reply: "See https://strong.example/{ip} ({zone})"},
			{Zone: "weak.example"},
			{Zone: "Weak2.example", Codes: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}, NoIPv6: true},
			{Zone: "soft.example", Optional: true},
		},
		Threshold:        2,
		ExceptRecipients: []string{"postmaster"},
		Resolver: fakeDNS{
			"PTR 192.0.2.20": "mx.friend.example.", "A mx.friend.example": "192.0.2.20",
			"PTR 192.0.2.21":  "mx.friend.example.", // not confirmed
			"PTR 192.0.2.22":  "FAIL",
			"PTR 203.0.113.1": "1.dynamic.example.",
			"PTR 203.0.113.2": "FAIL",

			"A 1.100.51.198.strong.example": "127.0.0.2",
			"A 2.100.51.198.weak.example":   "127.0.0.2",
			"A 3.100.51.198.weak.example":   "127.0.0.2", "A 3.100.51.198.weak2.example": "127.0.0.2", // not one of Codes
			"A 4.100.51.198.weak.example": "127.0.0.2", "A 4.100.51.198.weak2.example": "127.0.0.2 127.0.0.9",
			"A 5.100.51.198.strong.example": "127.0.0.2", "A 5.100.51.198.allow.example": "127.0.0.3",
			"A 6.100.51.198.strong.example": "127.255.255.254", // an error code, not a listing
			"A 7.100.51.198.strong.example": "203.0.113.99",    // a resolver that falsifies answers
			"A 8.100.51.198.strong.example": "127.0.0.1",
			"A 9.100.51.198.strong.example": "FAIL",
			"A 10.100.51.198.weak.example":  "FAIL", // cannot change the result
			"A 11.100.51.198.weak.example":  "FAIL", "A 11.100.51.198.weak2.example": "127.0.0.9",
			"A 12.100.51.198.strong.example": "127.0.0.2", "A 12.100.51.198.allow.example": "FAIL",
			"A 13.100.51.198.allow.example": "FAIL",
			"A 14.100.51.198.weak.example":  "127.0.0.2", "A 14.100.51.198.soft.example": "FAIL",
			"A 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.b.d.0.1.0.0.2.strong.example": "127.0.0.2",
		},
	}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	srv := serveAgents(t, f.Agent())
	for from, want := range map[string]string{
		"203.0.113.9":   "250",
		"192.0.2.15":    "250", // the allow list has priority
		"192.0.2.16":    "550 5.7.1 Mail from your address is not accepted here",
		"2001:db8::1":   "550 5.7.1",
		"192.0.2.20":    "250",
		"192.0.2.21":    "550 5.7.1",
		"192.0.2.22":    "451 4.4.3", // the allow list might contain it
		"203.0.113.1":   "550 5.7.1",
		"203.0.113.2":   "451 4.4.3",
		"198.51.100.1":  "550 5.7.1 See https://strong.example/198.51.100.1 (strong.example)",
		"198.51.100.2":  "250",
		"198.51.100.3":  "250",
		"198.51.100.4":  "550 5.7.1 198.51.100.4 is listed by weak.example",
		"198.51.100.5":  "250",
		"198.51.100.6":  "250",
		"198.51.100.7":  "250",
		"198.51.100.8":  "250",
		"198.51.100.9":  "451 4.4.3",
		"198.51.100.10": "250",
		"198.51.100.11": "451 4.4.3",
		"198.51.100.12": "451 4.4.3",
		"198.51.100.13": "250",
		"198.51.100.14": "250",
		"2001:db9::1":   "550 5.7.1 See https://strong.example/2001:db9::1 (strong.example)",
		"2001:db9::2":   "250",
	} {
		t.Run(from, func(t *testing.T) { srv.Talk(t, from, tryToReachAlice+want) })
	}
}

// The organization's own firewall forwards mail from all clients, and is on a
// block list itself.
func TestConnectionFilterChecksOrigin(t *testing.T) {
	f := &ConnectionFilter{
		Internal:         networks(t, "10.0.0.0/8", "192.0.2.25"),
		Block:            networks(t, "10.0.0.1", "198.51.100.0/24"),
		ExceptRecipients: []string{"postmaster"},
	}
	srv := serveAgents(t, f.Agent())
	for _, tt := range []struct {
		name, from, fields, want string
	}{
		{"from a good host", "10.0.0.1", "C: Received: from good.example (good.example [203.0.113.7]) by fw\n", "250"},
		{"from a bad host", "10.0.0.1", "C: Received: from bad.example (x [198.51.100.7]) by fw\n", "550 5.7.1"},
		{"through two internal hosts", "10.0.0.1", "C: Received: from b (b [192.0.2.25]) by fw\nC: Received: from bad.example ([198.51.100.7])\nC:  by b\n", "550 5.7.1"},
		{"a good host shows a forged field", "10.0.0.1", "C: Received: from good.example (g [203.0.113.7]) by fw\nC: Received: from bad.example ([198.51.100.7]) by good.example\n", "250"},
		{"a bad host calls itself good", "10.0.0.1", "C: Received: from [203.0.113.7] (bad [198.51.100.7]) by fw\n", "550 5.7.1"},
		{"from an internal host", "10.0.0.1", "C: Received: from printer (p [10.9.9.9]) by fw\n", "250"},
		{"field that cannot be parsed", "10.0.0.1", "C: Received: by fw; date\n", "250"},
		{"client that is not internal", "198.51.100.7", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				srv.Talk(t, tt.from, tryToReachAlice+"550 5.7.1")
				return
			}
			srv.Talk(t, tt.from, tryToReachAlice+"250\nC: DATA\nS: 354\n"+tt.fields+"C: Subject: x\nC:\nC: .\nS: "+tt.want)
		})
	}
}

// Authenticated clients are not checked.
func TestConnectionFilterSkipsAuthenticated(t *testing.T) {
	relay := &Relay{Authenticated: true}
	f := &ConnectionFilter{Block: networks(t, "192.0.2.0/24")}
	servePasswords(t, relay.Agent(), f.Agent()).Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN AGFsaWNlAGVjaWxh
		S: 235
		C: MAIL FROM:<alice@example.com>
		S: 250
		C: RCPT TO:<bob@example.net>
		S: 250
	`)
}

// A list is queried once in a session.
func TestConnectionFilterQueriesOnce(t *testing.T) {
	d := dnstest.New(t, "1.2.0.192.list.example. A 127.0.0.2\nother.example. A 192.0.2.7")
	f := &ConnectionFilter{BlockLists: []DNSList{{Zone: "list.example"}}, Resolver: resolverOf(d)}
	srv := serveAgents(t, f.Agent())
	srv.Talk(t, stranger, strings.Replace(tryToReachAlice, "S: 250\n\tC: RCPT TO:<alice", "S: 550\n\tC: RCPT TO:<alice", 1)+`550 5.7.1
		C: RSET
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 550 5.7.1 192.0.2.1 is listed by list.example
	`)
	srv.Talk(t, stranger, mailFrom("x@example.net", "250")+"\nC: RCPT TO:<alice@example.com>\nS: 550") // and the result is cached
	if n := d.Count("1.2.0.192.list.example", ""); n != 1 {
		t.Errorf("queried %d times", n)
	}
}

// A failed query is repeated immediately. An answer is cached.
func TestConnectionFilterCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fakeDNS{"A 1.2.0.192.list.example": "FAIL"}
		f := &ConnectionFilter{BlockLists: []DNSList{{Zone: "list.example"}}, Resolver: d, ExceptRecipients: []string{"postmaster"}}
		srv := serveAgents(t, f.Agent())
		srv.Talk(t, stranger, tryToReachAlice+"451")
		d["A 1.2.0.192.list.example"] = "127.0.0.2"
		srv.Talk(t, stranger, tryToReachAlice+"550")
		delete(d, "A 1.2.0.192.list.example")
		srv.Talk(t, stranger, tryToReachAlice+"550")
		sleep(time.Minute)
		srv.Talk(t, stranger, tryToReachAlice+"250")
	})
}

// resolverOf returns a resolver that uses only the given server.
func resolverOf(d *dnstest.Server) Resolver {
	return &NetResolver{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.Addr)
	}}}
}

// If the DNS fails in any way, a client that could be on a list gets a
// temporary refusal. It is never accepted, and it never waits without limit.
func TestConnectionFilterUnderHostileDNS(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault dnstest.Fault
		want  string
	}{
		{"server failure", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "451 4.4.3"},
		{"refused", dnstest.Fault{Rcode: dns.RcodeRefused}, "451 4.4.3"},
		{"no TCP", dnstest.Fault{Truncate: true, NoTCP: true}, "451 4.4.3"},
		{"a thousand answers", dnstest.Fault{Mangle: func(b []byte) []byte {
			m := new(dns.Msg)
			if err := m.Unpack(b); err != nil {
				panic(err)
			}
			for range 1000 {
				m.Answer = append(m.Answer, m.Answer[0])
			}
			m.Truncate(512)
			b, _ = m.Pack()
			return b
		}}, "550 5.7.1 192.0.2.1 is listed by list.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := dnstest.New(t, "1.2.0.192.list.example. A 127.0.0.2")
			d.Fault("1.2.0.192.list.example", "", tt.fault)
			f := &ConnectionFilter{BlockLists: []DNSList{{Zone: "list.example"}}, Resolver: resolverOf(d), ExceptRecipients: []string{"postmaster"}}
			serveAgents(t, f.Agent()).Talk(t, stranger, tryToReachAlice+tt.want)
		})
	}
	// A DNS server that never answers costs one timeout for all lists together.
	t.Run("silence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &ConnectionFilter{Resolver: mute{}, ExceptRecipients: []string{"postmaster"},
				BlockLists: []DNSList{{Zone: "a.example"}, {Zone: "b.example"}, {Zone: "c.example"}}}
			srv := serveAgents(t, f.Agent())
			began := time.Now()
			srv.Talk(t, stranger, tryToReachAlice+"451 4.4.3")
			if d := time.Since(began); d != dnsListTime {
				t.Errorf("waited %v, want %v", d, dnsListTime)
			}
		})
	})
}

// A list that was shut down, or a resolver that answers every query, lists
// every address. Such a list also contains 127.0.0.1, which must not be listed
// (RFC 5782, 5), and is ignored.
func TestDNSListsOfAllAddresses(t *testing.T) {
	const not4, not6 = "A 1.0.0.127.list.example", "A 1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.list.example"
	const listed6 = "A 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.list.example"
	for _, tt := range []struct {
		name, from string
		dns        fakeDNS
		optional   bool
		allow      bool
		want       string
	}{
		{"valid list", stranger, fakeDNS{}, false, false, "550 5.7.1"},
		{"lists all addresses", stranger, fakeDNS{not4: "127.0.0.2"}, false, false, "451 4.4.3"},
		{"lists all addresses, optional", stranger, fakeDNS{not4: "127.0.0.2"}, true, false, "250"},
		{"an error code is not a listing", stranger, fakeDNS{not4: "127.255.255.254"}, false, false, "550 5.7.1"},
		{"cannot be tested", stranger, fakeDNS{not4: "FAIL"}, false, false, "451 4.4.3"},
		{"lists all IPv6 addresses", "2001:db8::1", fakeDNS{not6: "127.0.0.2"}, false, false, "451 4.4.3"},
		{"lists all IPv4 addresses", "2001:db8::1", fakeDNS{not4: "127.0.0.2"}, false, false, "550 5.7.1"},
		{"allow list of all addresses", "192.0.2.3", fakeDNS{not4: "127.0.0.2"}, true, true, "550 5.7.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.dns["A 1.2.0.192.list.example"], tt.dns[listed6] = "127.0.0.2", "127.0.0.2"
			tt.dns["A 3.2.0.192.list.example"], tt.dns["A 3.2.0.192.block.example"] = "127.0.0.2", "127.0.0.2"
			f := &ConnectionFilter{Resolver: tt.dns, BlockLists: []DNSList{{Zone: "list.example", Optional: tt.optional}}}
			if tt.allow {
				f.AllowLists, f.BlockLists = f.BlockLists, []DNSList{{Zone: "block.example"}}
			}
			serveAgents(t, f.Agent()).Talk(t, tt.from, rcptTo("x@example.net", "alice@example.com", tt.want))
		})
	}
	t.Run("tested once an hour", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := &countingDNS{fakeDNS: fakeDNS{"A 1.2.0.192.list.example": "127.0.0.2", "A 2.2.0.192.list.example": "127.0.0.2"}}
			srv := serveAgents(t, (&ConnectionFilter{Resolver: d, BlockLists: []DNSList{{Zone: "list.example"}}}).Agent())
			for _, from := range []string{stranger, "192.0.2.2"} {
				srv.Talk(t, from, rcptTo("x@example.net", "alice@example.com", "550 5.7.1"))
			}
			if d.asked != 3 {
				t.Errorf("%d queries about two clients, want 3", d.asked)
			}
			d.fakeDNS[not4] = "127.0.0.2"
			sleep(time.Hour)
			srv.Talk(t, stranger, rcptTo("x@example.net", "alice@example.com", "451"))
		})
	})
}

func TestConnectionFilterSettings(t *testing.T) {
	f := &ConnectionFilter{AllowHosts: []string{"*"}, BlockHosts: []string{""}, BlockLists: []DNSList{{Zone: ""}, {Zone: strings.Repeat("a.", 100) + "b"}}}
	err := f.Validate()
	for _, want := range []string{`AllowHosts: "*"`, `BlockHosts: ""`, `DNS list ""`, `DNS list "a.a.`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %s", err, want)
		}
	}
}

func TestFromClause(t *testing.T) {
	for value, want := range map[string]string{
		"from a.example (b.example [192.0.2.1]) by c":        "192.0.2.1",
		"from a.example ([192.0.2.1]) by c":                  "192.0.2.1",
		"from a.example (192.0.2.1) by c.example (10.0.0.1)": "192.0.2.1",
		"from a (b [IPv6:2001:db8::1]) by c":                 "2001:db8::1",
		"From a (HELO b [x]) ([192.0.2.1])":                  "",
		"from a (b (c) [192.0.2.1]) by c":                    "192.0.2.1",
		"from a (::ffff:192.0.2.1) by c":                     "192.0.2.1",
		"from [10.0.0.1] (evil [192.0.2.1]) by c":            "192.0.2.1",
		"from [10.0.0.1] by c":                               "",
		"from a by c":                                        "",
		"by c with SMTP; (from a [192.0.2.1])":               "",
		"from a (b [192.0.2.1":                               "",
		// Comments also contain data from the client: Exim writes the HELO name
		// and the ident into a comment.
		"from b.example ([192.0.2.1] helo=[10.0.0.1]) by c":                       "192.0.2.1",
		"from b.example ([192.0.2.1]:4711 helo=[10.0.0.1] ident=[10.0.0.2]) by c": "192.0.2.1",
		"from [192.0.2.1] (helo=[10.0.0.1]) by c":                                 "192.0.2.1",
		"from [192.0.2.1]:4711 (helo=x.example ident=[10.0.0.2]) by c":            "192.0.2.1",
		"from [10.0.0.1] (helo=evil [192.0.2.1]) by c":                            "192.0.2.1", // not the form of Exim
		"from evil(10.0.0.1) (192.0.2.1) by c":                                    "192.0.2.1", // not a comment by the server
		"from evil([10.0.0.1])\r\n\t(b [192.0.2.1]) by c":                         "192.0.2.1",
		"": "",
	} {
		got, ok := fromClause(value)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("fromClause(%q) = %v, %v; want %q", value, got, ok, want)
		}
	}
}

// Origin returns the address that SPF checks behind a relay of the
// organization.
func TestOrigin(t *testing.T) {
	find := Origin(networks(t, "10.0.0.0/8"))
	var ip netip.Addr
	var helo string
	srv := serveAgents(t, smtpserver.Agent{EndOfHeaders: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		ip, helo = find(s, m)
		return nil
	}})
	for _, tt := range []struct{ from, header, ip, helo string }{
		{stranger, "Received: from a.example (a [203.0.113.1]) by b", stranger, "client.example"},
		{neighbour, "Received: from a.example (a [203.0.113.1]) by b", "203.0.113.1", "a.example"},
		{neighbour, "Received: from fw (fw [10.0.0.1]) by b\nReceived: from  [203.0.113.2] ([203.0.113.2])\n by fw", "203.0.113.2", "[203.0.113.2]"},
		{neighbour, "Subject: none", "invalid IP", ""},
	} {
		srv.Talk(t, tt.from, mailHeader("x@example.net", tt.header, "250"))
		if ip.String() != tt.ip || helo != tt.helo {
			t.Errorf("%s, %q: %v, %q; want %s, %q", tt.from, tt.header, ip, helo, tt.ip, tt.helo)
		}
	}
}

// FuzzFromClause: for each input, the result is one valid address or none.
func FuzzFromClause(f *testing.F) {
	for _, s := range []string{"from a (b [192.0.2.1]) by c", "from a ([IPv6:::1])", "from (", "from a (192.0.2.1)", "from a ([", "from [1.2.3.4] (x)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ip, ok := fromClause(s); ok && (!ip.IsValid() || ip.Zone() != "" || ip.Is4In6()) {
			t.Errorf("%q: %v", s, ip)
		}
		header.By(s)
	})
}
