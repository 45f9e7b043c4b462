package spf_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Check two hosts without a session.
func ExampleChecker_Check() {
	dns, _ := dnstest.InMemory(`example.org. TXT "v=spf1 ip4:192.0.2.0/24 include:missing.example -all"`)
	defer dns.Close()
	checker := &spf.Checker{Resolver: dns}

	for _, ip := range []string{"192.0.2.7", "203.0.113.7"} {
		v := checker.Check(context.Background(), netip.MustParseAddr(ip), "mail.example.org", "alice@example.org")
		fmt.Println(ip, v.Result, v.Term, v.Err)
	}
	// Output:
	// 192.0.2.7 pass ip4:192.0.2.0/24 <nil>
	// 203.0.113.7 permerror  spf: example.org: "include:missing.example": the target has no policy: spf: missing.example: no SPF record
}

// Refuse mail from hosts that may not send mail for the sender's domain.
func ExampleChecker_Agent() {
	checker := &spf.Checker{RejectFail: true, DeferTempError: true}
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{checker.Agent()}}
	fmt.Println(srv.Agents[0].Name)
	// Output: spf
}
