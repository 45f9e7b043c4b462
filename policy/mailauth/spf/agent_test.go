package spf

import (
	"context"
	"net/netip"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const agentZone = `
	example.org.  TXT "v=spf1 ip4:192.0.2.1 exp=why.example.org -all"
	why.example.org. TXT "see example.org/spf"
	broken.example. TXT "v=spf1 oops"
	dead.example. TXT "v=spf1 -all"`

// serve runs a server with the Checker and a later agent that records the
// verdicts.
func serve(t *testing.T, set func(*Checker)) (*policytest.Server, *[]*Verdict) {
	checker, dns := newChecker(t, agentZone)
	dns.Fault("dead.example", "TXT", servfail)
	set(checker)
	found := new([]*Verdict)
	return policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{
		checker.Agent(),
		{Name: "witness", EndOfData: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
			*found = append(*found, VerdictOf(s))
			return nil
		}},
	}}), found
}

func TestVerdictOf(t *testing.T) {
	srv, found := serve(t, func(*Checker) {})
	srv.Talk(t, "192.0.2.9", `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.org>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: one
		C: .
		S: 250
		C: MAIL FROM:<a@dead.example>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: two
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	if len(*found) != 2 || (*found)[0].Result != Fail || (*found)[1].Result != TempError {
		t.Fatalf("found %v", *found)
	}
	if v := (*found)[0]; v.Domain != "example.org" || v.Sender != "a@example.org" || v.Helo || v.Explanation != "see example.org/spf" {
		t.Errorf("verdict %+v", v)
	}
}

func TestAgentRefuses(t *testing.T) {
	srv, _ := serve(t, func(c *Checker) { c.RejectFail, c.RejectPermError, c.DeferTempError = true, true, true })
	srv.Talk(t, "192.0.2.9", `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.org>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 550 5.7.23 SPF validation failed; example.org explains: see example.org/spf
		C: RSET
		S: 250
		C: MAIL FROM:<a@broken.example>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 550 5.7.24 SPF validation error
		C: RSET
		S: 250
		C: MAIL FROM:<a@dead.example>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 451 4.7.24 SPF validation error
		C: QUIT
		S: 221
	`)
	srv.Talk(t, "192.0.2.1", `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.org>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: passes
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
}

// Behind a relay of the same organization, the host of the sender is in the
// relay's Received field. Origin reads it from there.
func TestAgentWithOrigin(t *testing.T) {
	srv, found := serve(t, func(c *Checker) {
		c.RejectFail = true
		c.Origin = func(_ *smtpserver.Session, m *smtpserver.Message) (netip.Addr, string) {
			ip, _ := netip.ParseAddr(m.Header.Get("X-Origin"))
			return ip, "client.example"
		}
	})
	srv.Talk(t, "10.0.0.1", `
		S: 220
		C: EHLO relay.example.com
		S: 250
		C: MAIL FROM:<a@example.org>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: X-Origin: 192.0.2.1
		C: .
		S: 250
		C: MAIL FROM:<a@example.org>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: X-Origin: 192.0.2.9
		C: .
		S: 550 5.7.23
		C: MAIL FROM:<a@example.org>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: no origin
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	if len(*found) != 2 || (*found)[0].Result != Pass || (*found)[1].Result != None {
		t.Errorf("found %v", *found)
	}
}

// Messages of authenticated users are not checked, unless Skip selects them.
func TestAgentSkips(t *testing.T) {
	for _, c := range []struct {
		identity string
		skip     func(*smtpserver.Session) bool
		checked  bool
	}{
		{"", nil, true},
		{"alice", nil, false},
		{"alice", func(*smtpserver.Session) bool { return false }, true},
		{"", func(s *smtpserver.Session) bool { return s.Helo() == "trusted.example" }, false},
	} {
		checkSkip(t, c.identity, c.skip, c.checked)
	}
}

func checkSkip(t *testing.T, identity string, skip func(*smtpserver.Session) bool, checked bool) {
	t.Helper()
	checker, _ := newChecker(t, agentZone)
	checker.Skip = skip
	found := new([]*Verdict)
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{
		{Name: "login", Helo: func(_ context.Context, s *smtpserver.Session, _ string) error {
			s.SetIdentity(identity)
			return nil
		}},
		checker.Agent(),
		{Name: "witness", EndOfData: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
			*found = append(*found, VerdictOf(s))
			return nil
		}},
	}})
	srv.Talk(t, "192.0.2.9", `
		S: 220
		C: EHLO trusted.example
		S: 250
		C: MAIL FROM:<a@example.org>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: x
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	if len(*found) != 1 || ((*found)[0] != nil) != checked {
		t.Errorf("%q: found %v", identity, *found)
	}
}
