package routing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The resolver with real servers: BIND behind a validating unbound.
func TestResolverWithRealServers(t *testing.T) {
	var big strings.Builder
	for i := range 100 {
		fmt.Fprintf(&big, "big TXT \"%d %s\"\n", i, strings.Repeat("x", 100))
	}
	server := peers.SignedDNS(t, `
@       MX 10 mx
mx      A 192.0.2.1
mx      AAAA 2001:db8::1
_25._tcp.mx TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000001
null    MX 0 .
alias   CNAME mx
text    TXT "x"
bogus   A 192.0.2.7
`, "@ MX 10 mx\nmx A 192.0.2.2\n"+big.String(), "192.0.2.7", "192.0.2.8")
	for _, plain := range []bool{true, false} {
		testRealServers(t, server, plain)
	}
	r := &DNSResolver{Servers: []string{server}, TrustAD: true}
	f := testFinder(t, nil)
	f.resolver = r
	hosts, err := f.domain(t.Context(), "signed.example")
	if err != nil || len(hosts) != 1 || hosts[0].DANE == nil || len(hosts[0].Addrs) != 2 {
		t.Errorf("%+v, %v", hosts, err)
	}
	if _, err := f.domain(t.Context(), "null.signed.example"); err == nil || !strings.Contains(err.Error(), "null MX") {
		t.Errorf("%v", err)
	}
}

// testRealServers looks up the records of peers.SignedDNS, with or without EDNS.
func testRealServers(t *testing.T, server string, plain bool) {
	t.Helper()
	r := &DNSResolver{Servers: []string{server}, TrustAD: true}
	if plain {
		c, err := r.config()
		if err != nil {
			t.Fatal(err)
		}
		c.servers[0].plain.Store(time.Now().Add(time.Hour).UnixNano())
	}
	for _, c := range []struct {
		name    string
		qtype   RecordType
		secure  bool
		problem DNSProblem
		fails   bool
	}{
		{name: "signed.example", qtype: TypeMX, secure: true},
		{name: "mx.signed.example", qtype: TypeAAAA, secure: true},
		{name: "alias.signed.example", qtype: TypeA, secure: true},
		{name: "_25._tcp.mx.signed.example", qtype: TypeTLSA, secure: true},
		{name: "unsigned.example", qtype: TypeMX},
		{name: "big.unsigned.example", qtype: TypeTXT}, // only over TCP
		{name: "bogus.signed.example", qtype: TypeA, fails: true, problem: DNSFailure},
		{name: "nowhere.signed.example", qtype: TypeA, fails: true, problem: NoSuchName},
		{name: "text.signed.example", qtype: TypeA, fails: true, problem: NoRecord},
	} {
		a, err := r.Lookup(t.Context(), c.name, c.qtype)
		var e *LookupError
		switch {
		case !c.fails && (err != nil || a.Secure != c.secure):
			t.Errorf("%s %s: %+v, %v; want secure %v (without EDNS: %v)", c.name, c.qtype, a, err, c.secure, plain)
		case c.fails && (!errors.As(err, &e) || e.Problem != c.problem):
			t.Errorf("%s %s: %v, want %v", c.name, c.qtype, err, c.problem)
		}
	}
}

// DANE with a signed zone, a validating resolver and a real Postfix.
func TestDANEWithPostfix(t *testing.T) {
	cert, tlsa := selfSigned(t, "mx.signed.example")
	_, wrong := selfSigned(t, "mx.signed.example")
	port := startPostfix(t, cert)
	server := peers.SignedDNS(t, fmt.Sprintf(`
good     MX 10 mx
mx       A 127.0.0.1
_%[1]d._tcp.mx  TLSA %[2]s
bad      MX 10 mx2
mx2      A 127.0.0.1
_%[1]d._tcp.mx2 TLSA %[3]s
ill      MX 10 mx3
mx3      A 127.0.0.1
_%[1]d._tcp.mx3 TLSA 3 1 1 00000000000000000000000000000000000000000000000000000000000000aa
`, port, tlsa, wrong), fmt.Sprintf(`
@        MX 10 mx4
mx4      A 127.0.0.1
_%[1]d._tcp.mx4 TLSA %[2]s
`, port, wrong), "00000000000000AA", "00000000000000AB") // signatures that do not fit are as good as no answer
	r := &Router{Hostname: "relay.test", Resolver: &DNSResolver{Servers: []string{server}, TrustAD: true},
		Table: table(t, Connector{Name: "internet", Spaces: []string{"*"}, Port: port})}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e := r.Explain(ctx, Question{From: "alice@example.com", To: "a@good.signed.example", Probe: true})
	if len(e.Probes) != 1 || e.Probes[0].Policy != "dane" || e.Probes[0].Err != nil {
		t.Errorf("%s", e)
	}
	testDANE(t, r, "good.signed.example", "bad.signed.example", "ill.signed.example", "unsigned.example")
}
