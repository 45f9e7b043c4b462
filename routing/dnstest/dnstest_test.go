package dnstest

import (
	"context"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const world = `
	$TTL 60
	example.net.           IN MX   10 mx1.example.net.
	example.net.           MX      20 mx2.example.net.
	mx1.example.net.       A       192.0.2.1
	mx1.example.net.       AAAA    2001:db8::1
	www.example.net.       CNAME   web.example.net.
	web.example.net.       30 A    192.0.2.3
	loop.example.net.    CNAME   loop.example.net.
	*.wild.example.        MX      5 mx1.example.net.
	deep.below.example.    TXT     "hello"
	_25._tcp.mx1.example.net. TLSA 3 1 1 aabbcc
`

// ask sends a query over network, as a resolver does.
func ask(t *testing.T, s *Server, network, name, qtype string) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.StringToType[qtype])
	q.SetEdns0(1232, true)
	c := &dns.Client{Net: network, Timeout: 10 * time.Second}
	r, _, err := c.Exchange(q, s.Addr)
	if err != nil {
		t.Fatalf("%s %s: %v", name, qtype, err)
	}
	return r
}

func TestAnswers(t *testing.T) {
	s := New(t, world)
	for _, c := range []struct {
		name, qtype string
		rcode       int
		answers     int
	}{
		{"example.net", "MX", dns.RcodeSuccess, 2},
		{"EXAMPLE.net", "MX", dns.RcodeSuccess, 2},
		{"mx1.example.net", "A", dns.RcodeSuccess, 1},
		{"mx1.example.net", "MX", dns.RcodeSuccess, 0},
		{"mx9.example.net", "A", dns.RcodeNameError, 0},
		{"www.example.net", "A", dns.RcodeSuccess, 2},
		{"www.example.net", "CNAME", dns.RcodeSuccess, 1},
		{"loop.example.net", "A", dns.RcodeSuccess, 16},
		{"any.wild.example", "MX", dns.RcodeSuccess, 1},
		{"below.example", "MX", dns.RcodeSuccess, 0}, // an empty non-terminal exists
		{"_25._tcp.mx1.example.net", "TLSA", dns.RcodeSuccess, 1},
	} {
		for _, network := range []string{"udp", "tcp"} {
			r := ask(t, s, network, c.name, c.qtype)
			if r.Rcode != c.rcode || len(r.Answer) != c.answers {
				t.Errorf("%s %s over %s: %s with %d records, want %s with %d", c.name, c.qtype, network,
					dns.RcodeToString[r.Rcode], len(r.Answer), dns.RcodeToString[c.rcode], c.answers)
			}
			if c.answers == 0 && (len(r.Ns) != 1 || r.Ns[0].Header().Rrtype != dns.TypeSOA) {
				t.Errorf("%s %s: a negative answer without SOA", c.name, c.qtype)
			}
		}
	}
	if ttl := ask(t, s, "udp", "web.example.net", "A").Answer[0].Header().Ttl; ttl != 30 {
		t.Errorf("TTL %d, want the record's own 30", ttl)
	}
}

func TestCountsAndChanges(t *testing.T) {
	s := New(t, world)
	ask(t, s, "udp", "example.net", "MX")
	ask(t, s, "udp", "example.net", "MX")
	ask(t, s, "udp", "example.net", "A")
	if mx, all := s.Count("example.net", "MX"), s.Count("example.net", ""); mx != 2 || all != 3 {
		t.Errorf("counted %d MX and %d in all, want 2 and 3", mx, all)
	}
	s.Remove("example.net", "MX")
	if err := s.Add("example.net. MX 0 ."); err != nil {
		t.Fatal(err)
	}
	r := ask(t, s, "udp", "example.net", "MX")
	if len(r.Answer) != 1 || r.Answer[0].(*dns.MX).Mx != "." {
		t.Errorf("after the change: %v", r.Answer)
	}
	s.Remove("mx1.example.net", "")
	s.Remove("_25._tcp.mx1.example.net", "")
	if r := ask(t, s, "udp", "mx1.example.net", "A"); r.Rcode != dns.RcodeNameError {
		t.Errorf("a removed name: %s", dns.RcodeToString[r.Rcode])
	}
	if _, err := Start("this is no record"); err == nil {
		t.Error("a faulty zone was accepted")
	}
}

func TestSecure(t *testing.T) {
	s := New(t, world+"\nsigned.example. MX 10 mx1.example.net.\nalias.signed.example. CNAME web.example.net.")
	s.Secure("signed.example")
	for name, want := range map[string]bool{
		"signed.example": true, "none.signed.example": true, "example.net": false,
		"alias.signed.example": false, // it leads out of the signed part
	} {
		if got := ask(t, s, "udp", name, "MX").AuthenticatedData; got != want {
			t.Errorf("%s: AD %v, want %v", name, got, want)
		}
	}
	q := new(dns.Msg).SetQuestion("signed.example.", dns.TypeMX)
	r, err := dns.Exchange(q, s.Addr)
	if err != nil || r.AuthenticatedData {
		t.Errorf("AD for a client that did not ask for it (err %v)", err)
	}
}

func TestFaults(t *testing.T) {
	s := New(t, world)
	s.Fault("example.net", "MX", Fault{Rcode: dns.RcodeServerFailure, Times: 1})
	if r := ask(t, s, "udp", "example.net", "MX"); r.Rcode != dns.RcodeServerFailure || len(r.Answer) > 0 {
		t.Errorf("the first answer: %v", r)
	}
	if r := ask(t, s, "udp", "example.net", "MX"); r.Rcode != dns.RcodeSuccess {
		t.Error("the fault did not end after its Times")
	}
	s.Fault("example.net", "", Fault{Truncate: true})
	if r := ask(t, s, "udp", "example.net", "MX"); !r.Truncated || len(r.Answer) > 0 {
		t.Errorf("not truncated: %v", r)
	}
	if r := ask(t, s, "tcp", "example.net", "MX"); r.Truncated || len(r.Answer) != 2 {
		t.Errorf("over TCP: %v", r)
	}
	s.Fault("example.net", "", Fault{Mangle: func(b []byte) []byte {
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			t.Error(err)
		}
		m.Answer = m.Answer[:1]
		b, _ = m.Pack()
		return b
	}})
	if r := ask(t, s, "udp", "example.net", "MX"); len(r.Answer) != 1 {
		t.Errorf("not mangled: %v", r)
	}
	s.Fault("example.net", "", Fault{Drop: true})
	q := new(dns.Msg).SetQuestion("example.net.", dns.TypeMX)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := new(dns.Client).ExchangeContext(ctx, q, s.Addr); err == nil {
		t.Error("a dropped query was answered")
	}
	s.Fault("example.net", "", Fault{NoTCP: true})
	if _, _, err := (&dns.Client{Net: "tcp"}).Exchange(q, s.Addr); err == nil {
		t.Error("TCP was answered")
	}
	s.Fault("example.net", "", Fault{Rcode: dns.RcodeNotImplemented, OnlyEDNS: true})
	if r := ask(t, s, "udp", "example.net", "MX"); r.Rcode != dns.RcodeNotImplemented {
		t.Errorf("with EDNS: %v", r)
	}
	if r, err := dns.Exchange(q, s.Addr); err != nil || len(r.Answer) != 2 {
		t.Errorf("without EDNS: %v, %v", r, err)
	}
	s.Fault("example.net", "", Fault{})
	if r := ask(t, s, "udp", "example.net", "MX"); len(r.Answer) != 2 {
		t.Error("the zero Fault does not cancel the fault")
	}
}

func TestLargeAnswersAreCutToTheClientsSize(t *testing.T) {
	s := New(t)
	for range 60 {
		if err := s.Add(`big.example. TXT "0123456789012345678901234567890123456789"`); err != nil {
			t.Fatal(err)
		}
	}
	q := new(dns.Msg).SetQuestion("big.example.", dns.TypeTXT)
	r, err := dns.Exchange(q, s.Addr)
	if err != nil || !r.Truncated || len(r.Answer) == 0 || len(r.Answer) == 60 {
		t.Errorf("truncated %v, %d records, err %v", r.Truncated, len(r.Answer), err)
	}
	if r := ask(t, s, "tcp", "big.example", "TXT"); len(r.Answer) != 60 {
		t.Errorf("%d records over TCP", len(r.Answer))
	}
	s.Fault("big.example", "", Fault{Oversize: true})
	r, _, err = (&dns.Client{UDPSize: dns.MaxMsgSize}).Exchange(q, s.Addr)
	if err != nil || r.Truncated || len(r.Answer) != 60 {
		t.Errorf("oversize: %v, %v", r, err)
	}
}

func TestDialInMemory(t *testing.T) {
	s, err := InMemory(world)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Dial(t.Context(), "udp", "anywhere:53")
	if err != nil {
		t.Fatal(err)
	}
	conn := &dns.Conn{Conn: c}
	defer conn.Close()
	if err := conn.WriteMsg(new(dns.Msg).SetQuestion("example.net.", dns.TypeMX)); err != nil {
		t.Fatal(err)
	}
	if r, err := conn.ReadMsg(); err != nil || len(r.Answer) != 2 {
		t.Errorf("in memory: %v, %v", r, err)
	}
}
