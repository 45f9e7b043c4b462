package authres

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// receive sends a message through all checks and a Stamper. It returns the
// Authentication-Results fields of the received message.
func receive(t *testing.T, st *Stamper, helo, fields string, more ...smtpserver.Agent) []string {
	t.Helper()
	dns, err := dnstest.InMemory(`
		example.org.        TXT "v=spf1 ip4:192.0.2.1 -all"
		_dmarc.example.org. TXT "v=DMARC1; p=reject"`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dns.Close() })
	resolver := &policy.NetResolver{Resolver: &net.Resolver{PreferGo: true, Dial: dns.Dial}}
	login := smtpserver.Agent{Name: "login", Helo: func(_ context.Context, s *smtpserver.Session, name string) error {
		if name == "user.example" {
			s.SetIdentity("alice")
		}
		return nil
	}}
	agents := append([]smtpserver.Agent{login}, more...)
	if helo != "bare.example" {
		agents = append(agents, (&spf.Checker{Resolver: resolver}).Agent(), (&dkim.Verifier{Resolver: resolver}).Agent(), (&dmarc.Checker{Resolver: resolver}).Agent())
	}
	srv := policytest.New(t, &smtpserver.Server{Hostname: "mx.example.com", Agents: append(agents, st.Agent())})
	srv.Talk(t, "192.0.2.1", strings.ReplaceAll(`
		S: 220
		C: EHLO `+helo+`
		S: 250
		C: MAIL FROM:<a@example.org>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: `+strings.ReplaceAll(fields, "\n", "\nC: ")+`
		C: From: a@example.org
		C: .
		S: 250
		C: QUIT
		S: 221
	`, "\t", ""))
	return srv.Inbox.Next(t).Header.Values("Authentication-Results")
}

const ours = "mx.example.com;\tspf=pass smtp.mailfrom=example.org;\tdkim=none;\tdmarc=pass (p=reject) header.from=example.org"

func TestAgent(t *testing.T) {
	forged := "Authentication-Results: mx.example.com; dkim=pass header.d=bank.example\n" +
		"authentication-results :\n MX.EXAMPLE.COM; spf=pass\n" +
		"Authentication-Results: (x) \"mx.example.com\" 1; dmarc=pass\n" +
		"Authentication-Results: other.example; spf=fail\n" +
		"Authentication-Results: ;\n" +
		"X-Authentication-Results: mx.example.com; kept"
	for _, c := range []struct {
		name, helo string
		stamper    Stamper
		want       []string
	}{
		{"forged fields are removed", "client.example", Stamper{}, []string{ours, "other.example; spf=fail"}},
		{"all fields are removed", "client.example", Stamper{RemoveAll: true}, []string{ours}},
		{"ID and OtherIDs", "client.example", Stamper{ID: "example.com", OtherIDs: []string{"other.example"}}, []string{
			strings.Replace(ours, "mx.example.com", "example.com", 1),
			"mx.example.com; dkim=pass header.d=bank.example", "MX.EXAMPLE.COM; spf=pass", `(x) "mx.example.com" 1; dmarc=pass`}},
		{"trusted session", "relay.example", Stamper{Trust: func(s *smtpserver.Session) bool { return s.Helo() == "relay.example" }}, []string{
			ours, "mx.example.com; dkim=pass header.d=bank.example", "MX.EXAMPLE.COM; spf=pass", `(x) "mx.example.com" 1; dmarc=pass`, "other.example; spf=fail", ";"}},
		{"no results", "bare.example", Stamper{RemoveAll: true}, []string{"mx.example.com; none"}},
		{"authenticated user", "user.example", Stamper{RemoveAll: true}, []string{"mx.example.com;\tdkim=none"}},
		{"ShowIdentity", "user.example", Stamper{RemoveAll: true, ShowIdentity: true}, []string{"mx.example.com;\tdkim=none;\tauth=pass smtp.auth=alice"}},
	} {
		got := receive(t, &c.stamper, c.helo, forged)
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// Forged fields are removed even if an earlier agent ends the event. Results that
// other agents add are written.
func TestAgentAmongOthers(t *testing.T) {
	early := smtpserver.Agent{Name: "accept", EndOfHeaders: func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return smtpserver.ErrAccept }}
	iprev := smtpserver.Agent{Name: "iprev", Connect: func(_ context.Context, s *smtpserver.Session) error {
		Add(s, Result{Method: "lost", Value: "none"}) // there is no transaction: Add does nothing
		return nil
	}, Mail: nil, Data: func(_ context.Context, s *smtpserver.Session) error {
		Add(s, Result{Method: "iprev", Value: "pass", Properties: []Property{{"policy", "iprev", "192.0.2.1"}}})
		return nil
	}}
	got := receive(t, &Stamper{}, "client.example", "Authentication-Results: mx.example.com; dkim=pass", early, iprev)
	if want := ours + ";\tiprev=pass policy.iprev=192.0.2.1"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// A line that is not a field ends the header. A field after it is part of the
// body for all later readers.
func TestHiddenField(t *testing.T) {
	for _, hidden := range []string{
		"no field\r\nAuthentication-Results: mx.example.com; dkim=pass\r\n\r\nbody\r\n",
		"no field\r\nauthentication-results : mx.example.com;\r\n\tdkim=pass\r\n\r\nbody\r\n",
		"Authentication-Results\r\n : mx.example.com; dkim=pass\r\n\r\nbody\r\n",
	} {
		got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, "Subject: x\r\n"+hidden, (&Stamper{ID: "mx.example.com"}).Agent())
		if !strings.HasSuffix(got.Data, "Subject: x\r\n\r\n"+hidden) {
			t.Errorf("%q", got.Data)
		}
	}
}
