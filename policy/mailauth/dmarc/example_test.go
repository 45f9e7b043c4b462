package dmarc_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Check the author of a message, and get the disposition if the check fails.
func ExampleChecker_Check() {
	dns, _ := dnstest.InMemory(`
		example.org.        TXT "v=spf1 ip4:192.0.2.1 -all"
		_dmarc.example.org. TXT "v=DMARC1; p=reject"`)
	defer dns.Close()
	ctx := context.Background()

	for _, ip := range []string{"192.0.2.1", "203.0.113.9"} {
		s := (&spf.Checker{Resolver: dns}).Check(ctx, netip.MustParseAddr(ip), "mail.example", "bounce@example.org")
		v := (&dmarc.Checker{Resolver: dns}).Check(ctx, "example.org", &s, &dkim.Verdict{})
		fmt.Println(ip, v.Result, v.Disposition)
	}
	// Output:
	// 192.0.2.1 pass none
	// 203.0.113.9 fail reject
}

// A server that checks SPF, DKIM and DMARC, and enforces the policies.
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

// Count received messages, and write the aggregate reports once a day.
func ExampleCollector() {
	collector := &dmarc.Collector{}
	yesterday := time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)
	record, _ := dmarc.ParseRecord("v=DMARC1; p=reject; rua=mailto:agg@example.org")
	collector.Add(yesterday, dmarc.Observation{ // the Agent of a Checker with a Collector does this
		Source:  netip.MustParseAddr("192.0.2.1"),
		Verdict: &dmarc.Verdict{Result: dmarc.Fail, Author: "example.org", Domain: "example.org", Record: record, Policy: dmarc.Reject},
		Applied: dmarc.Reject,
	})

	today := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for _, r := range collector.Take(today) {
		r.Organization, r.Email, r.ID = "Example Receiver", "postmaster@receiver.example", "20261120.1"
		fmt.Println(r.FileName("receiver.example", true))
		if err := r.WriteXML(io.Discard); err != nil {
			fmt.Println(err)
		}
		// (&dmarc.Checker{}).Destinations(ctx, r.Domain, r.Record) returns its destinations.
	}
	// Output: receiver.example!example.org!1795132800!1795219199!202611201.xml.gz
}
