package policy

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// clientNames is the DNS of these tests: 192.0.2.1 is a host with correct names.
var clientNames = fakeDNS{
	"PTR 192.0.2.1": "other.example.net. MX.example.net.", "A mx.example.net": "192.0.2.1",
	"PTR 2001:db8::1": "six.example.net.", "A six.example.net": "2001:db8::1",
	"A forward.example.net": "192.0.2.1 192.0.2.2",
	// 192.0.2.2 has no PTR record.
	"PTR 192.0.2.3": "fake.example.net.", "A fake.example.net": "192.0.2.99",
	"PTR 192.0.2.4": "gone.example.net.",
	"PTR 192.0.2.5": "FAIL",
	"PTR 192.0.2.6": "down.example.net.", "A down.example.net": "FAIL",
	"PTR 192.0.2.7": "seven.example.net. down.example.net.", "A seven.example.net": "192.0.2.7",
}

// rcptAfter is a session of a client that greets with helo, up to the reply to RCPT.
func rcptAfter(helo, want string) string {
	return strings.Replace(tryToReachAlice, "client.example", helo, 1) + want
}

func TestClientName(t *testing.T) {
	for _, tt := range []struct {
		name       string
		rules      ClientName
		from, helo string
		want       string
	}{
		{"zero value", ClientName{}, "192.0.2.5", "x.example", "250"},
		{"a PTR record", ClientName{NoPTR: NameRefuse}, "192.0.2.1", "x.example", "250"},
		{"IPv6", ClientName{NoPTR: NameRefuse, Unconfirmed: NameRefuse, Helo: NameRefuse}, "2001:db8::1", "six.example.net", "250"},
		{"no PTR", ClientName{NoPTR: NameRefuse}, "192.0.2.2", "x.example", "550 5.7.25 Your address has no reverse DNS name"},
		{"no PTR, later", ClientName{NoPTR: NameDefer}, "192.0.2.2", "x.example", "450 4.7.25 Your address has no reverse DNS name"},
		{"no PTR, tag", ClientName{NoPTR: NameTag}, "192.0.2.2", "x.example", "250"},
		{"unconfirmed is a PTR", ClientName{NoPTR: NameRefuse}, "192.0.2.3", "x.example", "250"},
		{"unconfirmed", ClientName{Unconfirmed: NameRefuse}, "192.0.2.3", "x.example", "550 5.7.25 The reverse DNS name"},
		{"name does not exist", ClientName{Unconfirmed: NameDefer}, "192.0.2.4", "x.example", "450 4.7.25 The reverse DNS name"},
		{"no PTR is not unconfirmed", ClientName{Unconfirmed: NameRefuse}, "192.0.2.2", "x.example", "250"},

		{"DNS failure is not no PTR", ClientName{NoPTR: NameRefuse}, "192.0.2.5", "x.example", "451 4.4.3"},
		{"DNS failure, defer", ClientName{NoPTR: NameDefer}, "192.0.2.5", "x.example", "451 4.4.3"},
		{"DNS failure, tag", ClientName{NoPTR: NameTag, Helo: NameDelay}, "192.0.2.5", "x.example", "250"},
		{"DNS failure of the name", ClientName{Unconfirmed: NameRefuse}, "192.0.2.6", "x.example", "451 4.4.3"},
		{"DNS failure that does not matter", ClientName{NoPTR: NameRefuse}, "192.0.2.6", "x.example", "250"},
		{"DNS failure of another name", ClientName{Unconfirmed: NameRefuse, Helo: NameRefuse}, "192.0.2.7", "seven.example.net", "250"},
		{"DNS failure of the name that may be the HELO", ClientName{Helo: NameRefuse}, "192.0.2.7", "down.example.net", "451 4.4.3"},

		{"HELO is the PTR name", ClientName{Helo: NameRefuse}, "192.0.2.1", "mx.EXAMPLE.net", "250"},
		{"HELO with a dot", ClientName{Helo: NameRefuse}, "192.0.2.1", "mx.example.net.", "250"},
		{"HELO is a PTR name that is not confirmed", ClientName{Helo: NameRefuse}, "192.0.2.1", "other.example.net", "550 5.7.1"},
		{"HELO differs", ClientName{Helo: NameRefuse}, "192.0.2.1", "forward.example.net", "550 5.7.1 Your HELO name"},
		{"HELO differs, later", ClientName{Helo: NameDefer}, "192.0.2.1", "forward.example.net", "450 4.7.1 Your HELO name"},
		{"HELO resolves to the client", ClientName{Helo: NameRefuse, HeloForward: true}, "192.0.2.1", "forward.example.net", "250"},
		{"HELO resolves to the client without PTR", ClientName{Helo: NameRefuse, HeloForward: true}, "192.0.2.2", "forward.example.net", "250"},
		{"HELO does not exist", ClientName{Helo: NameRefuse, HeloForward: true}, "192.0.2.1", "nothing.example", "550 5.7.1"},
		{"HELO cannot be looked up", ClientName{Helo: NameRefuse, HeloForward: true}, "192.0.2.1", "down.example.net", "451 4.4.3"},
		{"own address literal", ClientName{Helo: NameRefuse}, "192.0.2.1", "[192.0.2.1]", "250"},
		{"own IPv6 literal", ClientName{Helo: NameRefuse}, "2001:db8::1", "[IPv6:2001:db8::1]", "250"},
		{"other literal", ClientName{Helo: NameRefuse}, "192.0.2.1", "[192.0.2.2]", "550 5.7.1"},
		{"no PTR, any HELO", ClientName{Helo: NameRefuse}, "192.0.2.2", "x.example", "550 5.7.1"},

		{"the stronger action", ClientName{NoPTR: NameDefer, Helo: NameRefuse}, "192.0.2.2", "x.example", "550 5.7.1"},
		{"the first of two refusals", ClientName{NoPTR: NameRefuse, Helo: NameRefuse}, "192.0.2.2", "x.example", "550 5.7.25"},
		{"exempt", ClientName{NoPTR: NameRefuse, Except: networks(t, "192.0.2.2")}, "192.0.2.2", "x.example", "250"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tt.rules
			c.Resolver, c.ExceptRecipients, c.Delay = clientNames, []string{"postmaster"}, time.Millisecond
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			serveAgents(t, c.Agent()).Talk(t, tt.from, rcptAfter(tt.helo, tt.want))
		})
	}
}

// The field has the rules that apply. The client cannot set it.
func TestClientNameField(t *testing.T) {
	c := &ClientName{NoPTR: NameTag, Unconfirmed: NameTag, Helo: NameTag, Resolver: clientNames}
	for _, tt := range []struct{ from, helo, want string }{
		{"192.0.2.1", "mx.example.net", ""},
		{"192.0.2.1", "x.example", "helo-mismatch"},
		{"192.0.2.2", "x.example", "no-ptr, helo-mismatch"},
		{"192.0.2.3", "x.example", "unconfirmed, helo-mismatch"},
		{"192.0.2.5", "x.example", ""},
	} {
		srv := serveAgents(t, c.Agent())
		srv.Talk(t, tt.from, rcptAfter(tt.helo, "250\nC: DATA\nS: 354\nC: X-CLIENT-NAME: none\nC: Subject: x\nC:\nC: .\nS: 250"))
		m := srv.Inbox.Next(t)
		if got := strings.Join(m.Header.Values("X-Client-Name"), "|"); got != tt.want {
			t.Errorf("%s, %s: field %q, want %q", tt.from, tt.helo, got, tt.want)
		}
	}
}

// A policy without rules leaves the content as it is.
func TestClientNameWithoutRules(t *testing.T) {
	srv := serveAgents(t, (&ClientName{}).Agent())
	srv.Talk(t, "192.0.2.1", rcptAfter("x.example", "250\nC: DATA\nS: 354\nC: X-Client-Name: none\nC:\nC: .\nS: 250"))
	if got := srv.Inbox.Next(t).Header.Get("X-Client-Name"); got != "none" {
		t.Errorf("field %q", got)
	}
}

// NameDelay waits once in a session, at the first RCPT. Clients that fit do not
// wait.
func TestClientNameDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &ClientName{Helo: NameDelay, Resolver: clientNames}
		srv := serveAgents(t, c.Agent())
		for helo, want := range map[string]time.Duration{"mx.example.net": 0, "x.example": 10 * time.Second} {
			began := time.Now()
			srv.Talk(t, "192.0.2.1", rcptAfter(helo, "250"))
			if d := time.Since(began); d != want {
				t.Errorf("%s waited for %v, want %v", helo, d, want)
			}
		}
	})
}

// A session that greets again with its correct name is checked again.
func TestClientNameAfterANewGreeting(t *testing.T) {
	c := &ClientName{Helo: NameRefuse, Resolver: clientNames, ExceptRecipients: []string{"postmaster"}}
	serveAgents(t, c.Agent()).Talk(t, "192.0.2.1", rcptAfter("x.example", `550 5.7.1
		C: EHLO mx.example.net
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
	`))
}

// For mail that the organization's own relay forwards, the host that sent it to
// the relay is checked.
func TestClientNameChecksOrigin(t *testing.T) {
	c := &ClientName{NoPTR: NameRefuse, Helo: NameTag, Internal: networks(t, "10.0.0.1"), Resolver: clientNames}
	for received, want := range map[string]string{
		"from mx.example.net (mx.example.net [192.0.2.1]) by fw": "250",
		"from x.example (x [192.0.2.1]) by fw":                   "250",
		"from x.example (x [192.0.2.2]) by fw":                   "550 5.7.25",
		"from x.example (x [192.0.2.5]) by fw":                   "451 4.4.3",
		"by fw; no client":                                       "250",
	} {
		srv := serveAgents(t, c.Agent())
		srv.Talk(t, "10.0.0.1", rcptAfter("fw.example", "250\nC: DATA\nS: 354\nC: Received: "+received+"\nC: Subject: x\nC:\nC: .\nS: "+want))
		if want != "250" {
			continue
		}
		tag := ""
		if strings.HasPrefix(received, "from x.") {
			tag = "helo-mismatch"
		}
		if got := srv.Inbox.Next(t).Header.Get("X-Client-Name"); got != tag {
			t.Errorf("%s: field %q, want %q", received, got, tag)
		}
	}
}

// Clients that may relay are not checked. The Gate gives its Resolver.
func TestClientNameInGate(t *testing.T) {
	g := organization()
	g.Resolver, g.ClientName = clientNames, &ClientName{NoPTR: NameRefuse}
	srv, _ := install(t, g, &smtpserver.Server{Auth: passwords(), AllowInsecureAuth: true})
	const to = "\nC: RCPT TO:<alice@example.com>\nS: "
	srv.Talk(t, "192.0.2.2", mailFrom("x@example.net", "250")+to+"550 5.7.25")
	srv.Talk(t, "192.0.2.1", mailFrom("x@example.net", "250")+to+"250")
	srv.Talk(t, "192.0.2.2", strings.Replace(mailFrom("alice@example.com", "250"), "C: MAIL", "C: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\nC: MAIL", 1)+to+"250")
}

func TestClientNameValidate(t *testing.T) {
	c := &ClientName{NoPTR: 9, HeloForward: true, Delay: -1, Field: "X Name", ExceptRecipients: []string{"a@b@"}}
	err := c.Validate()
	for _, want := range []string{"ClientName.NoPTR: no such action", "HeloForward has no effect without Helo", "ClientName.Delay is negative", "ClientName.Field", "ClientName.ExceptRecipients"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	g := organization()
	g.ClientName, g.Queue = c, new(outbox)
	if err := g.Install(&smtpserver.Server{}); err == nil || !strings.Contains(err.Error(), "ClientName.NoPTR") {
		t.Errorf("Install: %v", err)
	}
}
