package routing

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// twoServers returns a resolver with two in-memory servers.
func twoServers(t *testing.T, zones ...string) (first, second *dnstest.Server, r *DNSResolver) {
	t.Helper()
	first, _ = inMemory(t, zones...)
	second, r = inMemory(t, zones...)
	r.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "ns1:53" {
			return first.Dial(ctx, network, addr)
		}
		return second.Dial(ctx, network, addr)
	}
	return first, second, r
}

// mangled returns a function for dnstest.Fault.Mangle that changes a message.
func mangled(change func(*dns.Msg)) func([]byte) []byte {
	return func(message []byte) []byte {
		m := new(dns.Msg)
		if err := m.Unpack(message); err != nil {
			panic(err)
		}
		change(m)
		message, err := m.Pack()
		if err != nil {
			panic(err)
		}
		return message
	}
}

// referral makes an answer like that of a server that is neither recursive nor
// authoritative for the name.
func referral(m *dns.Msg) {
	m.RecursionAvailable, m.Authoritative, m.Rcode = false, false, dns.RcodeSuccess
	m.Answer = nil
	m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "net.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "ns.example."}}
	m.Extra = append(m.Extra, &dns.A{Hdr: dns.RR_Header{Name: "ns.example.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, 53)})
}

// If a server does not answer, or its answer is a failure, the next one is
// asked.
func TestNextServerIsAsked(t *testing.T) {
	for name, fault := range map[string]dnstest.Fault{
		"SERVFAIL": {Rcode: dns.RcodeServerFailure},
		"REFUSED":  {Rcode: dns.RcodeRefused},
		"silence":  {Drop: true},
		"late":     {Delay: time.Minute},
		"nonsense": {Mangle: mangled(func(m *dns.Msg) { m.Question[0].Name = "other.example." })},
		"referral": {Mangle: mangled(referral)},
		"nothing at all": {Mangle: mangled(func(m *dns.Msg) {
			m.RecursionAvailable = false
			m.Answer, m.Ns, m.Extra = nil, nil, nil
		})},
		"too large, and no TCP": {NoTCP: true, Truncate: true},
		"of another name":       {Mangle: mangled(func(m *dns.Msg) { m.Answer[0].Header().Name = "other.example." })},
		"an extended code": {Mangle: mangled(func(m *dns.Msg) { // BADCOOKIE: its lower bits alone are another one's
			m.Answer = nil
			m.SetEdns0(1232, false)
			m.Rcode = dns.RcodeBadCookie
		})},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, good, r := twoServers(t, world)
				defer bad.Close()
				defer good.Close()
				bad.Fault("example.net", "", fault)
				if _, err := r.Lookup(t.Context(), "example.net", TypeMX); err != nil {
					t.Error(err)
				}
				if n := good.Count("example.net", ""); n != 1 {
					t.Errorf("the second server was asked %d times", n)
				}
			})
		})
	}
}

// A referral is never a negative answer, neither for a name nor for the target
// of an alias.
func TestReferralIsNoAnswer(t *testing.T) {
	const zone = `
		out.example.net.  CNAME target.example.org.
		in.example.net.   CNAME text.example.net.
		text.example.net. TXT "x"`
	for _, c := range []struct {
		what    string
		name    string
		mangle  func(*dns.Msg)
		problem DNSProblem
	}{
		{"referral", "sub.example.net", referral, DNSFailure},
		{"authority", "text.example.net", func(m *dns.Msg) { m.RecursionAvailable, m.Authoritative = false, true }, NoRecord},
		{"recursive", "text.example.net", func(m *dns.Msg) { m.Ns = nil }, NoRecord},
		{"authority for the alias only", "out.example.net", func(m *dns.Msg) {
			m.RecursionAvailable, m.Authoritative, m.Rcode, m.Ns = false, true, dns.RcodeSuccess, nil
		}, DNSFailure},
		{"authority for the alias, with another zone's SOA", "out.example.net", func(m *dns.Msg) {
			m.RecursionAvailable, m.Authoritative, m.Rcode = false, true, dns.RcodeSuccess
			m.Ns[0].Header().Name = "example.net."
		}, DNSFailure},
		{"authority for the target too", "in.example.net", func(m *dns.Msg) {
			m.RecursionAvailable, m.Authoritative = false, true
			m.Ns[0].Header().Name = "example.net."
		}, NoRecord},
	} {
		s, r := inMemory(t, zone)
		s.Fault(c.name, "", dnstest.Fault{Mangle: mangled(c.mangle)})
		_, err := r.Lookup(t.Context(), c.name, TypeMX)
		var e *LookupError
		if !errors.As(err, &e) || e.Problem != c.problem || e.Temporary() != (c.problem == DNSFailure) {
			t.Errorf("%s: %v, want %v", c.what, err, c.problem)
		}
	}
}

// Servers are asked in order of preference. A server that did not answer is
// asked last, and first again as soon as it answers.
func TestFirstServerIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, r := twoServers(t, "*.example. A 192.0.2.1")
		defer first.Close()
		defer second.Close()
		ask := func(name string) time.Duration {
			t.Helper()
			began := time.Now()
			if _, err := r.Lookup(t.Context(), name, TypeA); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			took := time.Since(began)
			synctest.Wait() // for a probe, which takes no time
			return took
		}
		for _, name := range []string{"a.example", "b.example", "c.example"} {
			first.Fault(name, "", dnstest.Fault{Drop: true})
		}
		if took := ask("a.example"); took != 5*time.Second {
			t.Errorf("the first failure took %v, want one timeout", took)
		}
		for _, name := range []string{"b.example", "c.example"} {
			if took := ask(name); took != 0 {
				t.Errorf("%s: a server that is down delayed the answer for %v", name, took)
			}
		}
		if n := first.Count("b.example", ""); n != 1 {
			t.Errorf("asked %d times whether it is back, want once", n)
		}
		if n := first.Count("c.example", ""); n != 0 {
			t.Errorf("a second probe while the first goes on")
		}
		time.Sleep(6 * time.Second) // that probe is over
		ask("d.example")            // asks both
		before := second.Count("e.example", "")
		ask("e.example")
		if first.Count("e.example", "") != 1 || second.Count("e.example", "") != before {
			t.Error("the first server answers again and is not preferred")
		}
	})
}

// A failure for one name does not mark the server as down.
func TestServerThatFailsForOneName(t *testing.T) {
	first, second, r := twoServers(t, world)
	first.Fault("example.net", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	for _, name := range []string{"example.net", "www.example.net"} {
		r.Lookup(t.Context(), name, TypeA)
	}
	if first.Count("www.example.net", "") != 1 || second.Count("www.example.net", "") != 0 {
		t.Error("the first server is not asked first any more")
	}
}

// With the option rotate, each query starts with the next server.
func TestOptionRotate(t *testing.T) {
	first, second, r := twoServers(t, "*.example. A 192.0.2.1")
	r.fixed = &dnsConfig{timeout: time.Second, attempts: 1, rotate: true, servers: []*nameServer{{addr: "ns1:53"}, {addr: "ns2:53"}}}
	asked := [2]int{}
	for _, name := range []string{"a.example", "b.example", "c.example", "d.example"} {
		if _, err := r.Lookup(t.Context(), name, TypeA); err != nil {
			t.Fatal(err)
		}
		asked[0] += first.Count(name, "")
		asked[1] += second.Count(name, "")
	}
	if asked != [2]int{2, 2} {
		t.Errorf("asked %v times", asked)
	}
}

// Servers and firewalls without EDNS cost one more query. If they drop EDNS
// queries, the first query also costs half of the timeout.
func TestServersWithoutEDNS(t *testing.T) {
	for name, c := range map[string]struct {
		fault dnstest.Fault
		wait  time.Duration
		asked int // for a second name
	}{
		"FORMERR":  {dnstest.Fault{Rcode: dns.RcodeFormatError}, 0, 2},
		"NOTIMP":   {dnstest.Fault{Rcode: dns.RcodeNotImplemented}, 0, 2},
		"SERVFAIL": {dnstest.Fault{Rcode: dns.RcodeServerFailure}, 0, 2},
		"BADVERS":  {dnstest.Fault{Mangle: mangled(func(m *dns.Msg) { m.Answer, m.Rcode = nil, dns.RcodeBadVers })}, 0, 2},
		"silence":  {dnstest.Fault{Drop: true}, 2500 * time.Millisecond, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, r := inMemory(t, world)
				defer s.Close()
				r.Servers, r.Attempts = []string{"ns1"}, 1
				c.fault.OnlyEDNS = true
				s.Fault("example.net", "", c.fault)
				s.Fault("www.example.net", "", c.fault)
				began := time.Now()
				if _, err := r.Lookup(t.Context(), "example.net", TypeMX); err != nil || time.Since(began) != c.wait {
					t.Errorf("after %v: %v; want an answer after %v", time.Since(began), err, c.wait)
				}
				if n := s.Count("example.net", ""); n != 2 {
					t.Errorf("asked %d times, want 2", n)
				}
				began = time.Now()
				if _, err := r.Lookup(t.Context(), "www.example.net", TypeA); err != nil || time.Since(began) != 0 {
					t.Errorf("the second name after %v: %v", time.Since(began), err)
				}
				if n := s.Count("www.example.net", ""); n != c.asked {
					t.Errorf("the second name was asked for %d times, want %d", n, c.asked)
				}
			})
		})
	}
}

// A slow server does not count as one that drops EDNS, and its answer is valid
// until Timeout.
func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := inMemory(t, world)
		defer s.Close()
		r.Attempts = 1
		s.Fault("example.net", "", dnstest.Fault{Delay: 4 * time.Second})
		began := time.Now()
		if _, err := r.Lookup(t.Context(), "example.net", TypeMX); err != nil || time.Since(began) != 4*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		c, _ := r.config()
		if c.servers[0].plain.Load() != 0 || c.servers[0].down.Load() {
			t.Error("the server is taken for one without EDNS, or for dead")
		}
	})
}

func TestLargeAnswersComeOverTCP(t *testing.T) {
	big := `big.example. TXT` + strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 20)
	for what, f := range map[string]dnstest.Fault{
		"truncated":                 {Truncate: true},
		"larger than the client's":  {Oversize: true},
		"larger, and without EDNS":  {Oversize: true, Mangle: mangled(func(m *dns.Msg) { m.Extra = nil })},
		"truncated after a FORMERR": {Rcode: dns.RcodeFormatError, OnlyEDNS: true},
	} {
		s := dnstest.New(t, world, big)
		r := &DNSResolver{Servers: []string{s.Addr}, Attempts: 1}
		s.Fault("big.example", "", f)
		a, err := r.Lookup(t.Context(), "big.example", TypeTXT)
		if err != nil || len(a.TXT[0]) != 5000 {
			t.Errorf("%s: %v", what, err)
		}
		s.Fault("big.example", "", dnstest.Fault{Oversize: true, NoTCP: true})
		_, err = (&DNSResolver{Servers: []string{s.Addr}, Attempts: 1}).Lookup(t.Context(), "big.example", TypeTXT)
		var e *LookupError
		if !errors.As(err, &e) || e.Problem != DNSUnavailable {
			t.Errorf("%s, without TCP: %v", what, err)
		}
	}
}

func TestServerAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5353": "192.0.2.1:5353", "2001:db8::1": "[2001:db8::1]:53",
		"[2001:db8::1]": "[2001:db8::1]:53", "[2001:db8::1]:54": "[2001:db8::1]:54", "ns.example": "ns.example:53",
	} {
		if got := withPort(in, "53"); got != want {
			t.Errorf("withPort(%q) = %q, want %q", in, got, want)
		}
	}
}
