package policy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// mute is a Resolver that never answers.
type mute struct{}

func (mute) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	<-ctx.Done()
	return nil, &resolver.Error{Name: name, Type: t, Err: ctx.Err()}
}

// askers returns all agents that use the DNS. The settings are such that the
// DNS answer matters for the client and sender of the session.
func askers(r Resolver) map[string]smtpserver.Agent {
	return map[string]smtpserver.Agent{
		"relay by host name": (&Relay{Resolver: r, Grants: []Grant{
			{To: Clients{Everyone: true}, Rights: Submit},
			{To: Clients{Hosts: []string{"*.partner.example"}}, Rights: AcceptAnyRecipient},
		}}).Agent(),
		"submission by host name": (&Relay{Resolver: r, Grants: []Grant{
			{To: Clients{Hosts: []string{"*.partner.example"}}, Rights: Submit},
		}}).Agent(),
		"blocked host":  (&ConnectionFilter{Resolver: r, BlockHosts: []string{"*.bad.example"}}).Agent(),
		"block list":    (&ConnectionFilter{Resolver: r, BlockLists: []DNSList{{Zone: "list.example"}}}).Agent(),
		"sender domain": (&SenderDomain{Resolver: r}).Agent(),
	}
}

// outcomeOf returns the reply that ends the session: to MAIL or to RCPT.
func outcomeOf(t *testing.T, a smtpserver.Agent) (code string, took time.Duration) {
	t.Helper()
	srv := serveAgents(t, a)
	c, err := srv.Dial(stranger)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	for _, line := range []string{"", "EHLO client.example", "MAIL FROM:<x@example.net>", "RCPT TO:<alice@example.com>"} {
		if code = say(t, c, line); code[0] != '2' {
			break
		}
	}
	return code, time.Since(began)
}

// say sends a line, unless it is empty, and returns the code of the reply.
func say(t *testing.T, c net.Conn, line string) string {
	t.Helper()
	if line != "" {
		if _, err := fmt.Fprintf(c, "%s\r\n", line); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 4096)
	n, err := c.Read(b) // a reply is written at once
	if err != nil || n < 3 {
		t.Fatalf("reply to %q: %q, %v", line, b[:n], err)
	}
	return string(b[:3])
}

// If the DNS does not answer, the delay is limited, and the client gets a
// temporary refusal.
func TestAgentsUnderSilentDNS(t *testing.T) {
	for name, a := range askers(mute{}) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				code, took := outcomeOf(t, a)
				if code != "451" || took == 0 || took > dnsTime {
					t.Errorf("reply %s after %v, want 451 within %v", code, took, dnsTime)
				}
			})
		})
	}
}

// If the DNS fails, refuses queries or does not answer over TCP, the client
// gets a temporary refusal.
func TestAgentsUnderHostileDNS(t *testing.T) {
	for name, fault := range map[string]dnstest.Fault{
		"server failure": {Rcode: dns.RcodeServerFailure},
		"refused":        {Rcode: dns.RcodeRefused},
		"no TCP":         {Truncate: true, NoTCP: true},
	} {
		d := dnstest.New(t, "1.2.0.192.in-addr.arpa. PTR mx.partner.example.\nexample.net. MX 10 mx.example.net.\n1.2.0.192.list.example. A 127.0.0.2")
		for _, q := range []string{"1.2.0.192.in-addr.arpa", "example.net", "1.2.0.192.list.example"} {
			d.Fault(q, "", fault)
		}
		for agent, a := range askers(resolverOf(d)) {
			if code, _ := outcomeOf(t, a); code != "451" {
				t.Errorf("%s, %s: reply %s, want 451", name, agent, code)
			}
		}
	}
}

// An address with a thousand PTR names causes ten queries.
func TestTooManyNames(t *testing.T) {
	names := ""
	for i := range 1000 {
		names += fmt.Sprintf("n%d.partner.example. ", i)
	}
	r := &countingDNS{fakeDNS: fakeDNS{"PTR 192.0.2.1": names}}
	got, err := confirmedNames(t.Context(), r, netip.MustParseAddr("192.0.2.1"))
	if len(got) != 0 || err != nil || r.asked != maxNames {
		t.Errorf("%v, %v after %d queries, want none after %d", got, err, r.asked, maxNames)
	}
}

type countingDNS struct {
	fakeDNS
	asked int
}

func (d *countingDNS) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	if t == resolver.TypeA {
		d.asked++
	}
	return d.fakeDNS.Lookup(ctx, name, t)
}
