package dmarc_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/policy/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/spf"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Is this author proven, and what is to be done if not?
func ExampleChecker_Check() {
	dns, _ := dnstest.InMemory(`
		example.org.        TXT "v=spf1 ip4:192.0.2.1 -all"
		_dmarc.example.org. TXT "v=DMARC1; p=reject"`)
	defer dns.Close()
	resolver := &net.Resolver{PreferGo: true, Dial: dns.Dial}
	ctx := context.Background()

	for _, ip := range []string{"192.0.2.1", "203.0.113.9"} {
		s := (&spf.Checker{Resolver: resolver}).Check(ctx, netip.MustParseAddr(ip), "mail.example", "bounce@example.org")
		v := (&dmarc.Checker{Resolver: resolver}).Check(ctx, "example.org", &s, &dkim.Verdict{})
		fmt.Println(ip, v.Result, v.Disposition)
	}
	// Output:
	// 192.0.2.1 pass none
	// 203.0.113.9 fail reject
}

// An edge that asks SPF, DKIM and DMARC, and does what authors' domains want.
func ExampleChecker_Agent() {
	spf, dkim := &spf.Checker{}, &dkim.Verifier{}
	dmarc := &dmarc.Checker{Enforce: true, RejectNoAuthor: true, DeferTempError: true}
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{spf.Agent(), dkim.Agent(), dmarc.Agent()}}
	for _, a := range srv.Agents {
		fmt.Println(a.Name)
	}
	// Output:
	// spf
	// dkim
	// dmarc
}
