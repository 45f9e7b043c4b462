package routing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/resolver/wire"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

const world = `
	$TTL 60
	example.net.           MX    10 mx1.example.net.
	mx1.example.net.       A     192.0.2.1
	www.example.net.       CNAME web.example.net.
	web.example.net.       A     192.0.2.3
	gone.example.net.      CNAME nowhere.example.net.
	loop.example.net.    CNAME loop.example.net.
	txt.example.net.       TXT   "no address here"
`

// inMemory returns a resolver with a server that needs no sockets, so that
// time can be virtual.
func inMemory(t *testing.T, zones ...string) (*dnstest.Server, *DNSResolver) {
	t.Helper()
	s, err := dnstest.InMemory(zones...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, &DNSResolver{Servers: []string{"ns1", "ns2"}, Dial: s.Dial}
}

func TestLookup(t *testing.T) {
	s := dnstest.New(t, world)
	r := &DNSResolver{Servers: []string{s.Addr}}
	s.Fault("broken.example", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	s.Fault("refused.example", "", dnstest.Fault{Rcode: dns.RcodeRefused})
	for _, c := range []struct {
		name    string
		qtype   RecordType
		want    string // the canonical name
		problem DNSProblem
		code    string
	}{
		{name: "example.net", qtype: TypeMX, want: "example.net"},
		{name: "Example.NET.", qtype: TypeMX, want: "example.net"},
		{name: "www.example.net", qtype: TypeA, want: "web.example.net"},
		{name: "localhost", qtype: TypeA, want: "localhost"},
		{name: "localhost", qtype: TypeMX, problem: NoRecord, code: "550 5.4.4"},
		{name: "txt.example.net", qtype: TypeA, problem: NoRecord, code: "550 5.4.4"},
		{name: "nowhere.example.net", qtype: TypeA, problem: NoSuchName, code: "550 5.1.2"},
		{name: "gone.example.net", qtype: TypeA, problem: NoSuchName, code: "550 5.1.2"},
		{name: "loop.example.net", qtype: TypeA, problem: AliasLoop, code: "550 5.4.6"},
		{name: "broken.example", qtype: TypeMX, problem: DNSFailure, code: "451 4.4.3"},
		{name: "refused.example", qtype: TypeMX, problem: DNSFailure, code: "451 4.4.3"},
		{name: "two..dots", qtype: TypeMX, problem: BadName, code: "550 5.1.2"},
		{name: "", qtype: TypeMX, problem: BadName, code: "550 5.1.2"},
		{name: strings.Repeat("a", 64) + ".example", qtype: TypeMX, problem: BadName, code: "550 5.1.2"},
		{name: strings.Repeat("a.", 130) + "example", qtype: TypeMX, problem: BadName, code: "550 5.1.2"},
	} {
		a, err := lookup(t.Context(), r, c.name, c.qtype)
		if c.code == "" {
			if err != nil || a.Name != c.want || !a.Has(c.qtype) {
				t.Errorf("%s: %+v, %v; want records of %s", c.name, a, err, c.want)
			}
			continue
		}
		var e *DNSError
		var reply *smtp.SMTPError
		if !errors.As(err, &e) || e.Problem != c.problem || !errors.As(err, &reply) || code(reply) != c.code {
			t.Errorf("%q %s: %v; want %v as %s", c.name, c.qtype, err, c.problem, c.code)
		}
	}
}

func code(r *smtp.SMTPError) string {
	return fmt.Sprintf("%d %d.%d.%d", r.Code, r.EnhancedCode[0], r.EnhancedCode[1], r.EnhancedCode[2])
}

func TestNoServerIsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // no server on UDP
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = lookup(t.Context(), &DNSResolver{Servers: []string{l.Addr().String()}}, "example.net", TypeMX)
	var e *DNSError
	if !errors.As(err, &e) || e.Problem != DNSUnavailable || code(e.SMTP()) != "451 4.4.3" || !e.Temporary() {
		t.Errorf("%v; want %v", err, DNSUnavailable)
	}
}

func TestAnswersAreCachedForTheirTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := inMemory(t, world)
		defer s.Close()
		s.Fault("broken.example", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
		for _, c := range []struct {
			name  string
			qtype RecordType
			ttl   time.Duration
			asked int // queries for one failure of the cache
		}{
			{"example.net", TypeMX, 60 * time.Second, 1},
			{"nowhere.example.net", TypeA, 60 * time.Second, 1}, // from the SOA
			{"txt.example.net", TypeA, 60 * time.Second, 1},
			{"broken.example", TypeA, 5 * time.Second, 6}, // two servers: with EDNS, without it, and again
		} {
			ask := func() int {
				r.Lookup(t.Context(), c.name, c.qtype)
				return s.Count(c.name, "")
			}
			if n := ask(); n != c.asked {
				t.Errorf("%s: asked %d times, want %d", c.name, n, c.asked)
			}
			time.Sleep(c.ttl - time.Millisecond)
			if n := ask(); n != c.asked {
				t.Errorf("%s: asked again within the TTL", c.name)
			}
			time.Sleep(time.Millisecond)
			if n := ask(); n != 2*c.asked {
				t.Errorf("%s: not asked again after the TTL", c.name)
			}
		}
	})
}

func TestNoCache(t *testing.T) {
	s, r := inMemory(t, world)
	r.MaxEntries = -1
	for range 3 {
		if _, err := r.Lookup(t.Context(), "example.net", TypeMX); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Count("example.net", "MX"); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s, r := inMemory(t, `*.example. A 192.0.2.1`)
	defer s.Close()
	r.MaxEntries = 16
	for i := range 100 {
		if _, err := r.Lookup(t.Context(), fmt.Sprintf("h%d.example", i), TypeA); err != nil {
			t.Fatal(err)
		}
		if n := len(r.cache.entries); n > 16 || n == 0 {
			t.Fatalf("%d entries after %d lookups", n, i+1)
		}
	}
}

// A long answer counts as several entries. The domains of others, which the
// relay must look up, cannot fill the memory.
func TestCacheOfLongAnswers(t *testing.T) {
	s, r := inMemory(t, `*.big.example. TXT`+strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 200)+`
		small.example. A 192.0.2.1`+"\n"+strings.Repeat("*.many.example. TXT x\n", 1000))
	r.MaxEntries = 1000
	for i := range 20 {
		for _, domain := range []string{"big", "many"} {
			if _, err := r.Lookup(t.Context(), fmt.Sprintf("h%d.%s.example", i, domain), TypeTXT); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(r.cache.entries); n > 5 {
			t.Fatalf("%d entries of 50 KiB after %d lookups", n, 2*(i+1))
		}
	}
	for range 2 {
		if _, err := r.Lookup(t.Context(), "small.example", TypeA); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Count("small.example", ""); n != 1 {
		t.Errorf("a short answer is asked for %d times", n)
	}
	r.cache.shrink(time.Now(), 0)
	if r.cache.weight != 0 {
		t.Errorf("an empty cache weighs %d", r.cache.weight)
	}
}

func TestConcurrentLookupsShareOneQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := inMemory(t, world)
		defer s.Close()
		s.Fault("example.net", "", dnstest.Fault{Delay: time.Second})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := r.Lookup(t.Context(), "example.net", TypeMX); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := s.Count("example.net", ""); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
	})
}

// If the first of two callers is canceled, the other one still gets the
// answer. If both are canceled, the query ends.
func TestCanceledCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := inMemory(t, world)
		defer s.Close()
		s.Fault("example.net", "", dnstest.Fault{Delay: 2 * time.Second})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := r.Lookup(impatient, "example.net", TypeMX)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the canceled caller: %v", err)
			}
		})
		synctest.Wait()
		if _, err := r.Lookup(t.Context(), "example.net", TypeMX); err != nil {
			t.Errorf("the other caller: %v", err)
		}
		wg.Wait()

		s.Fault("txt.example.net", "", dnstest.Fault{Delay: time.Hour})
		impatient, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.Lookup(impatient, "txt.example.net", TypeMX)
		synctest.Wait()
		if n := len(r.flights.m); n != 0 {
			t.Errorf("%d queries are still running", n)
		}
		s.Fault("txt.example.net", "", dnstest.Fault{})
		if _, err := r.Lookup(t.Context(), "txt.example.net", TypeTXT); err != nil {
			t.Errorf("the result of a canceled query is cached: %v", err)
		}
	})
}

func TestADIsTrustedOnlyWithTrustAD(t *testing.T) {
	s := dnstest.New(t, world)
	s.Secure("example.net")
	for _, trust := range []bool{false, true} {
		r := &DNSResolver{Servers: []string{s.Addr}, TrustAD: trust}
		a, err := r.Lookup(t.Context(), "example.net", TypeMX)
		if err != nil || a.Secure != trust {
			t.Errorf("TrustAD %v: secure %v, %v", trust, a.Secure, err)
		}
	}
}

// An answer to another query is forged. Over UDP the resolver waits for the
// right one.
func TestForgedAnswersAreIgnored(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go func() {
		b := make([]byte, 1500)
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			return
		}
		q := new(dns.Msg)
		if q.Unpack(b[:n]) != nil {
			return
		}
		send := func(change func(*dns.Msg)) {
			m := new(dns.Msg).SetReply(q)
			rr, _ := dns.NewRR("example.net. A 192.0.2.66")
			m.Answer = []dns.RR{rr}
			change(m)
			out, _ := m.Pack()
			pc.WriteTo(out, from)
		}
		pc.WriteTo([]byte("garbage"), from)
		send(func(m *dns.Msg) { m.Id++ })
		send(func(m *dns.Msg) { m.Question[0].Name = "example.org." })
		send(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX })
		send(func(m *dns.Msg) { m.Response = false })
		send(func(m *dns.Msg) { m.Answer[0].(*dns.A).A = net.IPv4(192, 0, 2, 1) })
	}()
	r := &DNSResolver{Servers: []string{pc.LocalAddr().String()}, Attempts: 1}
	a, err := r.Lookup(t.Context(), "example.net", TypeA)
	if err != nil || a.Addrs[0].String() != "192.0.2.1" {
		t.Errorf("%+v, %v", a, err)
	}
}

// For any reply of a server, the result is an error or has records of the
// type.
func FuzzAnswer(f *testing.F) {
	for _, zone := range []string{"example.net. MX 10 a.example.net.", "example.net. CNAME b.example.\nb.example. MX 0 ."} {
		q := new(dns.Msg).SetQuestion("example.net.", dns.TypeMX)
		m := new(dns.Msg).SetReply(q)
		for rr, p := dns.RR(nil), dns.NewZoneParser(strings.NewReader(zone), ".", ""); ; {
			var ok bool
			if rr, ok = p.Next(); !ok {
				break
			}
			m.Answer = append(m.Answer, rr)
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(dns.Msg)
		if m.Unpack(b) != nil {
			return
		}
		a, ttl, err := wire.Answer(m, "example.net", TypeMX, false)
		if ttl < 0 || ttl > wire.MaxTTL {
			t.Errorf("TTL %v", ttl)
		}
		if err != nil {
			return
		}
		if len(a.MX) == 0 || a.Secure || a.Addrs != nil || a.TXT != nil || a.Names != nil || a.TLSA != nil {
			t.Errorf("%+v", a)
		}
		readMX(a)
	})
}
