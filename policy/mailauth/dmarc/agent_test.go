package dmarc

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const agentZone = `
	example.org.              TXT "v=spf1 ip4:192.0.2.1 -all"
	_dmarc.example.org.       TXT "v=DMARC1; p=reject; rua=mailto:agg@example.org"
	quarantine.example.       TXT "v=spf1 ip4:192.0.2.1 -all"
	_dmarc.quarantine.example. TXT "v=DMARC1; p=quarantine; rua=mailto:agg@quarantine.example"
	dead.example.             TXT "v=spf1 ip4:192.0.2.1 -all"`

// serve runs a server with SPF, DKIM, DMARC and an agent that records verdicts.
func serve(t *testing.T, set func(*Checker)) (*policytest.Server, *[]Verdict) {
	checker, server := newChecker(t, agentZone)
	server.Fault("_dmarc.dead.example", "TXT", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	set(checker)
	found := new([]Verdict)
	s, d := &spf.Checker{Resolver: checker.Resolver}, &dkim.Verifier{Resolver: checker.Resolver}
	return policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{
		s.Agent(), d.Agent(), checker.Agent(),
		{Name: "witness", EndOfData: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
			*found = append(*found, *VerdictOf(s))
			return nil
		}},
	}}), found
}

// talk sends one message with a From field and expects a reply to it.
func talk(t *testing.T, srv *policytest.Server, ip, mailFrom, fields, want string) {
	t.Helper()
	srv.Talk(t, ip, strings.ReplaceAll(`
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<`+mailFrom+`>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: `+strings.ReplaceAll(fields, "\n", "\nC: ")+`
		C: .
		S: `+want+`
		C: QUIT
		S: 221
	`, "\t", ""))
}

func TestAgentEnforces(t *testing.T) {
	srv, found := serve(t, func(c *Checker) { c.Enforce, c.RejectNoAuthor, c.DeferTempError = true, true, true })
	for _, c := range []struct{ ip, mailFrom, fields, want string }{
		{"192.0.2.1", "a@example.org", "From: a@example.org", "250"},
		{"192.0.2.1", "bounce@sub.example.org", "From: A <a@example.org>", "550 5.7.1"}, // the domain has no SPF record
		{"192.0.2.9", "a@example.org", "From: a@example.org", "550 5.7.1 Email rejected per DMARC policy for example.org"},
		{"192.0.2.9", "m@evil.example", `From: "a@example.org" <a@EXAMPLE.org>`, "550 5.7.1"},
		{"192.0.2.9", "m@evil.example", "From:\n a@example.org", "550 5.7.1"},
		{"192.0.2.9", "m@evil.example", "From: m@evil.example\nFrom: a@example.org", "550 5.7.1 The From field"},
		{"192.0.2.9", "m@evil.example", "From: m@evil.example, a@example.org", "550 5.7.1 The From field"},
		{"192.0.2.9", "m@evil.example", "Subject: no author", "550 5.7.1 The From field"},
		{"192.0.2.9", "m@evil.example", "From: m@evil.example", "250"},
		{"192.0.2.9", "a@quarantine.example", "From: a@quarantine.example", "250"},
		{"192.0.2.9", "a@dead.example", "From: a@dead.example", "451 4.4.3"},
		{"192.0.2.1", "a@dead.example", "From: a@dead.example", "451 4.4.3"}, // SPF passes, but DNS does not answer for the policy
	} {
		talk(t, srv, c.ip, c.mailFrom, c.fields, c.want)
	}
	var got []string
	for _, v := range *found {
		got = append(got, string(v.Result)+" "+string(v.Disposition))
	}
	if want := "pass none, none none, fail quarantine"; strings.Join(got, ", ") != want {
		t.Errorf("accepted with %q, want %q", strings.Join(got, ", "), want)
	}
}

// The author's domain is found in any valid form of the field (RFC 5322, 3.4, 4.4,
// A.5). White space and comments do not evade a policy, and a message with them
// can pass.
func TestAuthorInObsoleteSyntax(t *testing.T) {
	srv, _ := serve(t, func(c *Checker) { c.Enforce = true })
	for _, from := range []string{
		"<a @ example.org>", "a @ example . org", `"a" (c) @ example.org`, "<a@example(c).org>", "<a@example. org>", "Joe <a@ example.org>", "a@(c)example.org",
		`Pete(A nice \) chap) <pete(his account)@example.org(his host)>`, "<@x.example:a@example.org>", "Friends: a@example.org;", "a@EXAMPLE.org.",
	} {
		talk(t, srv, "192.0.2.9", "m@evil.example", "From: "+from, "550 5.7.1 Email rejected per DMARC policy for example.org")
		talk(t, srv, "192.0.2.1", "a@example.org", "From: "+from, "250")
	}
}

// Without RejectNoAuthor, only messages that could evade a policy are refused.
func TestSeveralAuthors(t *testing.T) {
	srv, _ := serve(t, func(c *Checker) { c.Enforce = true })
	talk(t, srv, "192.0.2.9", "m@evil.example", "From: m@evil.example\nFrom: a@example.org", "550 5.7.1 The From field")
	talk(t, srv, "192.0.2.9", "m@evil.example", "From: m@evil.example, a@example.org", "550 5.7.1 The From field")
	talk(t, srv, "192.0.2.9", "m@evil.example", "From: m@evil.example, n@evil.example", "250")
	talk(t, srv, "192.0.2.9", "", "From: MAILER-DAEMON (Mail Delivery System)", "250")
	talk(t, srv, "192.0.2.9", "", "Subject: no author", "250")
	talk(t, srv, "192.0.2.9", "", "From: printer@[192.0.2.9]", "250")
	for _, fields := range []string{
		"From: a@example.org@evil.example",
		"From: a@example..org",
		"From: <m@evil.example> a@example.org",
		`From: "a@example.org`,
		"From: Alice",
		"From: <>",
		`From: "a@example.org"`,
		"From: =?utf-8?q?a=40example.org?=",
	} {
		talk(t, srv, "192.0.2.9", "m@evil.example", fields, "550 5.7.1 The From field")
	}
	talk(t, srv, "192.0.2.9", "m@evil.example", "From: m@evil.example\n\nFrom: a@example.org", "250")
	// A line that is not a field ends the header. A field after it is part of the
	// body.
	talk(t, srv, "192.0.2.9", "m@evil.example", "From: m@evil.example\nno field\nFrom: a@example.org", "250")
	talk(t, srv, "192.0.2.9", "m@evil.example", "From: m@evil.example\nFrom\n : a@example.org", "250")
	// A mailbox line ("From ") does not end the header.
	talk(t, srv, "192.0.2.9", "m@evil.example", ">From m@evil.example Sat Nov 21\nFrom: a@example.org", "550 5.7.1 Email rejected per DMARC policy")
}

// By default the agent refuses no message, and the reports have this disposition.
func TestAgentObserves(t *testing.T) {
	collector := &Collector{}
	srv, found := serve(t, func(c *Checker) {
		c.Collector = collector
		c.Override = func(s *smtpserver.Session, _ *smtpserver.Message, v *Verdict) Reason {
			if s.RemoteAddr().String() == "192.0.2.77:40000" {
				return Reason{Type: "trusted_forwarder", Comment: "our list host"}
			}
			return Reason{}
		}
	})
	talk(t, srv, "192.0.2.9", "a@example.org", "From: a@example.org", "250")
	talk(t, srv, "192.0.2.9", "a@example.org", "From: b@example.org", "250")
	talk(t, srv, "192.0.2.77", "a@example.org", "From: a@example.org", "250")
	talk(t, srv, "192.0.2.1", "a@example.org", "From: a@example.org", "250")
	talk(t, srv, "192.0.2.9", "x@nothing.example", "From: x@nothing.example", "250")
	talk(t, srv, "192.0.2.9", "a@dead.example", "From: a@dead.example", "250")
	if len(*found) != 6 || (*found)[0].Disposition != Reject || (*found)[2].Disposition != NoAction {
		t.Errorf("found %+v", *found)
	}
	reports := collector.Take(time.Now().Add(48 * time.Hour))
	if len(reports) != 1 || reports[0].Domain != "example.org" || len(reports[0].Rows) != 3 {
		t.Fatalf("reports %+v", reports)
	}
	rows := reports[0].Rows
	if r := rows[0]; r.Count != 2 || r.Source.String() != "192.0.2.9" || r.Applied != NoAction || r.Reasons[0].Type != "local_policy" || r.SPF.Result != "fail" {
		t.Errorf("row %+v", r)
	}
	for _, r := range rows[1:] {
		switch {
		case r.Source.String() == "192.0.2.77" && r.Reasons[0].Type == "trusted_forwarder" && !r.Passed:
		case r.Source.String() == "192.0.2.1" && r.SPFAligned && r.Passed && len(r.Reasons) == 0:
		default:
			t.Errorf("row %+v", r)
		}
	}
	if again := collector.Take(time.Now().Add(48 * time.Hour)); len(again) != 0 {
		t.Errorf("taken twice: %+v", again)
	}
}
