package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Check reports what other systems say about the relay: the DNS, and the smart
// hosts, with which it opens a session.
func TestCheck(t *testing.T) {
	next := smtptest.NewServer(t, &smtpserver.Server{Hostname: "mail.example.com"})
	dns := dnstest.New(t, `
		relay.example.com.     A   192.0.2.25
		relay.example.com.     A   192.0.2.26
		25.2.0.192.in-addr.arpa. PTR relay.example.com.
		26.2.0.192.in-addr.arpa. PTR other.example.net.
		example.com.           MX  10 relay.example.com.
		example.org.           MX  10 filter.example.net.
		null.example.          MX  0 .
		direct.example.        MX  10 relay.example.com.
	`)
	p := newParts(t, func(p *parts) {
		p.gate.Domains = []policy.Domain{
			{Name: "example.com", SmartHosts: []string{next.Addr}},
			{Name: "example.org", SmartHosts: []string{next.Addr, "127.0.0.1:1"}},
			{Name: "null.example", SmartHosts: []string{"127.0.0.1:1"}},
			{Name: "none.example", SmartHosts: []string{next.Addr}},
			{Name: "direct.example"},
		}
		p.table(routing.Site{Accepted: policy.Destinations(p.gate.Domains[:4]...)}, routing.Connector{Name: "internet", Spaces: []string{"*"}})
		p.Resolver = &routing.DNSResolver{Servers: []string{dns.Addr}}
	})
	found := p.Check(t.Context())
	for _, want := range []string{
		"note: addresses of relay.example.com: 192.0.2.25, 192.0.2.26",
		"note: PTR of 192.0.2.25: relay.example.com",
		"warning: PTR of 192.0.2.26: is other.example.net, and not relay.example.com",
		"note: MX of relay.example.com: there is none",
		"note: MX of example.com: 10 relay.example.com",
		"note: MX of example.org: 10 filter.example.net: this relay is not one of them",
		"error: MX of null.example: is a null MX",
		"warning: MX of none.example: there is none",
		"error: MX of direct.example: names this relay, and the connector internet delivers by DNS",
		"note: Queue.Deliverer: connector example.com: smart host " + next.Addr + `: replies "mail.example.com ESMTP", without TLS`,
		"warning: Queue.Deliverer: connector example.org: smart host 127.0.0.1:1: ",
		"error: Queue.Deliverer: connector null.example: smart host 127.0.0.1:1: ",
		"warning: Listeners[0].Server: Gate.Domains[4]: ",
	} {
		if !slices.ContainsFunc(found, func(f gateway.Finding) bool {
			return strings.HasPrefix(fmt.Sprintf("%v: %v", f.Severity, f.Error()), want)
		}) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		for _, f := range found {
			t.Logf("%v: %v", f.Severity, f.Error())
		}
	}
}

// A name that the DNS does not have, or that is no host name of the internet.
func TestCheckOfTheHostname(t *testing.T) {
	for hostname, want := range map[string]string{
		"missing.example.com": "warning: addresses of missing.example.com: there are none",
		"relay":               `warning: Hostname: "relay" has no domain`,
		"null.example.com":    "warning: MX of null.example.com: is a null MX",
		"no-ptr.example.com":  "warning: PTR of 192.0.2.1: there is none",
	} {
		p := newParts(t, func(p *parts) {
			p.Hostname = hostname
			p.Resolver = &routing.DNSResolver{Servers: []string{dnstest.New(t, `
				null.example.com.   MX 0 .
				no-ptr.example.com. A  192.0.2.1
			`).Addr}}
			p.gate.Domains[0].SmartHosts = []string{"127.0.0.1:1"}
			p.table(routing.Site{Accepted: policy.Destinations(p.gate.Domains...)})
		})
		found := p.Check(t.Context())
		if !slices.ContainsFunc(found, func(f gateway.Finding) bool {
			return strings.HasPrefix(fmt.Sprintf("%v: %v", f.Severity, f.Error()), want)
		}) {
			t.Errorf("no %q in %v", want, found)
		}
	}
}

// Check ends when its context ends, however many domains there are.
func TestCheckIsBounded(t *testing.T) {
	silent := routing.ResolverFunc(func(ctx context.Context, name string, _ routing.RecordType) (*routing.Answer, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	p := newParts(t, func(p *parts) {
		for i := range 200 {
			p.gate.Domains = append(p.gate.Domains, policy.Domain{Name: fmt.Sprintf("d%d.example", i)})
		}
		p.table(routing.Site{}, routing.Connector{Name: "all", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts("mail.example.net")})
		p.gate.Domains[0].SmartHosts = nil
		p.Resolver = silent
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	found := p.Check(ctx)
	if !slices.ContainsFunc(found, func(f gateway.Finding) bool { return f.Text == "101 of 201 were not looked up in the DNS" }) {
		t.Error("nothing says that domains were left out")
	}
	if n := len(found); n > 120 {
		t.Errorf("%d findings", n)
	}
}

// The errors of Validate are findings of Check too, and a Finding leads to the
// error that it comes from.
func TestCheckIncludesValidate(t *testing.T) {
	p := newParts(t, func(p *parts) {
		p.Queue.Store = nil
		p.gate.Domains = nil
		p.table(routing.Site{}, routing.Connector{Name: "n", Spaces: []string{"example.net"}, SmartHosts: routing.SmartHosts("127.0.0.1:1")})
		p.Hostname = "relay"
	})
	found := p.Check(t.Context())
	i := slices.IndexFunc(found, func(f gateway.Finding) bool { return f.Severity == gateway.Error && f.Subject == "Queue.Store" })
	if i < 0 {
		t.Fatalf("findings %v", found)
	}
	if !errors.Is(&found[i], found[i].Err) || found[i].Err == nil {
		t.Errorf("%#v", found[i])
	}
}
