package routing

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

func TestDANEAnswers(t *testing.T) {
	const tlsa = "3 1 1 0000000000000000000000000000000000000000000000000000000000000001"
	s, _ := inMemory(t, `
		good.signed.       MX 10 mx.signed.
		mx.signed.         A  192.0.2.1
		_25._tcp.mx.signed. TLSA `+tlsa+`
		good.unsigned.     MX 10 mx.signed.
		away.signed.       MX 10 mx.unsigned.
		mx.unsigned.       A  192.0.2.2
		_25._tcp.mx.unsigned. TLSA `+tlsa+`
		bare.signed.       MX 10 bare-mx.signed.
		bare-mx.signed.    A  192.0.2.3
		ill.signed.        MX 10 ill-mx.signed.
		ill-mx.signed.     A  192.0.2.4
		implicit.signed.   A  192.0.2.5
		_25._tcp.implicit.signed. TLSA `+tlsa+`
		aliased.signed.    MX 10 alias.signed.
		alias.signed.      CNAME mx.signed.
		aliased2.signed.   MX 10 alias2.signed.
		alias2.signed.     CNAME bare-mx.signed.
		_25._tcp.alias2.signed. TLSA `+tlsa+`
		outward.signed.    MX 10 out.signed.
		out.signed.        CNAME mx.unsigned.
		_25._tcp.out.signed. TLSA `+tlsa+`
		nickname.signed.   CNAME good.signed.
	`)
	s.Secure("signed")
	s.Fault("_25._tcp.ill-mx.signed", "", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	f := testFinder(t, s)
	for domain, want := range map[string]string{
		"good.signed":     "mx.signed good.signed",
		"good.unsigned":   "none",
		"away.signed":     "none",
		"bare.signed":     "none",
		"ill.signed":      "error",
		"implicit.signed": "implicit.signed",
		"aliased.signed":  "mx.signed aliased.signed alias.signed",
		"aliased2.signed": "alias2.signed aliased2.signed",
		"outward.signed":  "out.signed outward.signed",
		"nickname.signed": "mx.signed nickname.signed good.signed",
	} {
		hosts, err := f.domain(t.Context(), domain)
		if err != nil || len(hosts) != 1 {
			t.Errorf("%s: %v, %v", domain, hosts, err)
			continue
		}
		got := "none"
		if a := hosts[0].DANE; a != nil && a.Err != nil {
			got = "error"
		} else if a != nil {
			got = strings.Join(a.Names, " ")
			if len(a.Records) != 1 || len(a.Records[0].Data) != 32 || a.Records[0].Usage != 3 {
				t.Errorf("%s: records %v", domain, a.Records)
			}
		}
		if got != want {
			t.Errorf("%s: DANE %s, want %s", domain, got, want)
		}
	}
	f.resolver = &DNSResolver{Servers: []string{"ns"}, Dial: s.Dial}
	if hosts, err := f.domain(t.Context(), "good.signed"); err != nil || hosts[0].DANE != nil {
		t.Errorf("without TrustAD: %v, %v", hosts, err)
	}
	if s.Count("_25._tcp.mx.unsigned", "") != 0 {
		t.Error("TLSA was asked for where nothing was authenticated")
	}
}

// DANE fails closed: if a lookup that the decision needs fails, the host is
// not usable (RFC 7672, 2.1.1). Other errors do not matter.
func TestDANEFailsClosed(t *testing.T) {
	const tlsa = "3 1 1 0000000000000000000000000000000000000000000000000000000000000001"
	zone := `
		plain.signed.      MX 10 mx.signed.
		mx.signed.         A    192.0.2.1
		mx.signed.         AAAA 2001:db8::1
		_25._tcp.mx.signed. TLSA ` + tlsa + `
		inward.signed.     MX 10 alias.signed.
		alias.signed.      CNAME bare.signed.
		bare.signed.       A 192.0.2.2
		_25._tcp.alias.signed. TLSA ` + tlsa + `
		outward.signed.    MX 10 out.signed.
		out.signed.        CNAME host.unsigned.
		host.unsigned.     A 192.0.2.3
		_25._tcp.out.signed. TLSA ` + tlsa + `
		loop.signed.     MX 10 loops.signed.
		loops.signed.   A 192.0.2.4
		_25._tcp.loops.signed. CNAME _25._tcp.loops.signed.
		implicit.signed.   A 192.0.2.5
		unsigned.          MX 10 alias.unsigned.
		alias.unsigned.    CNAME host.unsigned.
		smart.unsigned.    CNAME host.unsigned.`
	for _, c := range []struct {
		domain, name, qtype string // what fails
		fault               dnstest.Fault
		want                string
	}{
		{"plain.signed", "_25._tcp.mx.signed", "TLSA", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "error"},
		{"plain.signed", "_25._tcp.mx.signed", "TLSA", dnstest.Fault{Rcode: dns.RcodeRefused}, "error"},
		{"plain.signed", "_25._tcp.mx.signed", "TLSA", dnstest.Fault{Mangle: mangled(referral)}, "error"},
		{"plain.signed", "_25._tcp.mx.signed", "TLSA", dnstest.Fault{Truncate: true, NoTCP: true}, "error"},
		{"plain.signed", "mx.signed", "AAAA", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "records"},
		{"plain.signed", "mx.signed", "A", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "records"},
		{"inward.signed", "_25._tcp.bare.signed", "TLSA", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "error"},
		{"inward.signed", "_25._tcp.alias.signed", "TLSA", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "error"},
		{"inward.signed", "alias.signed", "CNAME", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "records"}, // is not asked for
		{"outward.signed", "out.signed", "CNAME", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "error"},
		{"outward.signed", "out.signed", "CNAME", dnstest.Fault{Rcode: dns.RcodeNotImplemented}, "error"},
		{"outward.signed", "out.signed", "CNAME", dnstest.Fault{Mangle: mangled(referral)}, "error"},
		{"outward.signed", "_25._tcp.out.signed", "TLSA", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "error"},
		{"outward.signed", "host.unsigned", "CNAME", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "records"},
		{"loop.signed", "", "", dnstest.Fault{}, "error"}, // unknown whether there are records
		{"implicit.signed", "_25._tcp.implicit.signed", "TLSA", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "error"},
		// An unsigned domain cannot use DANE: there is no lookup.
		{"unsigned", "alias.unsigned", "CNAME", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "none"},
		{"unsigned", "_25._tcp.host.unsigned", "TLSA", dnstest.Fault{Rcode: dns.RcodeServerFailure}, "none"},
	} {
		s, _ := inMemory(t, zone)
		s.Secure("signed")
		s.Fault(c.name, c.qtype, c.fault)
		f := testFinder(t, s)
		hosts, err := f.domain(t.Context(), c.domain)
		if err != nil || len(hosts) != 1 {
			t.Errorf("%s: %v, %v", c.domain, hosts, err)
			continue
		}
		if got := daneOf(hosts[0]); got != c.want {
			t.Errorf("%s, with %s %s failing: DANE %s, want %s", c.domain, c.name, c.qtype, got, c.want)
		}
	}
}

func daneOf(h smtpclient.Host) string {
	switch {
	case h.DANE == nil:
		return "none"
	case h.DANE.Err != nil:
		return "error"
	}
	return "records"
}

// If the resolver never authenticates, DANE is not used. A failure of a lookup
// that only DANE needs does not delay mail, for smart hosts and for domains
// without MX.
func TestNoDANEWithoutTrustAD(t *testing.T) {
	s, _ := inMemory(t, `
		alias.unsigned. CNAME host.unsigned.
		host.unsigned.  A 192.0.2.3`)
	s.Fault("alias.unsigned", "CNAME", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	for _, trust := range []bool{false, true} {
		f := testFinder(t, s)
		f.resolver = &DNSResolver{Servers: []string{"ns"}, Dial: s.Dial, TrustAD: trust}
		want := map[bool]string{false: "none", true: "error"}[trust]
		hosts, err := f.domain(t.Context(), "alias.unsigned")
		if err != nil || daneOf(hosts[0]) != want {
			t.Errorf("TrustAD %v: %+v, %v; want %s", trust, hosts, err, want)
		}
		hosts, err = f.smartHost(t.Context(), &smartHost{name: "alias.unsigned", port: 25})
		if err != nil || daneOf(hosts[0]) != want {
			t.Errorf("smart host, TrustAD %v: %+v, %v; want %s", trust, hosts, err, want)
		}
	}
}

// An alias in a signed zone points to a host in an unsigned zone. An attacker
// who makes the lookup of the alias fail must not receive the mail.
func TestDANEOfAnAliasWhoseLookupFails(t *testing.T) {
	cert, _ := selfSigned(t, "mx.signed.example") // the attacker's
	_, published := selfSigned(t, "mx.signed.example")
	h, port := tlsHost(t, cert)
	s := dnstest.New(t, `
		signed.example.        MX 10 mx.signed.example.
		mx.signed.example.     CNAME host.unsigned.example.
		host.unsigned.example. A 127.0.0.1
		_`+fmt.Sprint(port)+`._tcp.mx.signed.example. TLSA `+published)
	s.Secure("signed.example")
	for _, fault := range []dnstest.Fault{{}, {Rcode: dns.RcodeServerFailure}} {
		s.Fault("mx.signed.example", "CNAME", fault)
		r := &Router{Hostname: "relay.test", Resolver: &DNSResolver{Servers: []string{s.Addr}, TrustAD: true},
			Table: table(t, Connector{Name: "internet", Spaces: []string{"*"}, Port: port})}
		got := send(t, r, "a@signed.example")[0]
		r.Close()
		var e *smtpclient.TLSError
		if got.Outcome != queue.Unreachable || !errors.As(got.Err, &e) || e.Policy != "dane" {
			t.Errorf("%+v: %+v", fault, got)
		}
	}
	if got := h.received(); got != "" {
		t.Errorf("the attacker received %s", got)
	}
}
