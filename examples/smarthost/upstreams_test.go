package main

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// relay starts a relay with settings for its upstreams.
func relay(t *testing.T, args ...string) *peers.Process {
	t.Helper()
	return peers.StartSelf(t, asMain, 1, append(args, "-listen", "127.0.0.1:0", "-allow", "127.0.0.0/8", "-hostname", "relay.example.com", "-spool", t.TempDir())...)
}

func send(t *testing.T, p *peers.Process, from, to string) {
	t.Helper()
	smtptest.Talk(t, p.Addrs[0], "S: 220\nC: HELO printer\nS: 250\nC: MAIL FROM:<"+from+">\nS: 250\nC: RCPT TO:<"+to+">\nS: 250\nC: DATA\nS: 354\nC: From: <"+from+">\nC:\nC: .\nS: 250")
}

// Without -upstream, mail goes to the MX hosts of each recipient's domain.
func TestWithoutUpstreamByMX(t *testing.T) {
	inbox := smtptest.NewServer(t, nil)
	_, port, err := net.SplitHostPort(inbox.Addr)
	if err != nil {
		t.Fatal(err)
	}
	dns := dnstest.New(t, "example.net. MX 10 mx.example.net.\nmx.example.net. A 127.0.0.1")
	p := relay(t, "-dns", dns.Addr, "-port", port)
	send(t, p, "printer@example.com", "admin@example.net")
	if m := inbox.Inbox.Next(t); m.From != "printer@example.com" || m.To()[0] != "admin@example.net" {
		t.Errorf("from %s to %v", m.From, m.To())
	}
	p.Stop(t)
}

// The second upstream gets the mail while the first one is down. Both log in with the
// same account.
func TestUpstreamFailover(t *testing.T) {
	second := upstream(t, smtpserver.PasswordAuth(passwords))
	p := relay(t, "-upstream", peers.FreeAddr(t)+","+second.Addr, "-user", user, "-password-file", peers.File(t, password), "-tls", "encrypt")
	for range 2 {
		send(t, p, "printer@example.com", "admin@example.net")
		if m := second.Inbox.Next(t); m.Identity != user {
			t.Errorf("by %q", m.Identity)
		}
	}
	p.Stop(t)
}

// Each sender has its own upstreams and accounts. The most specific rule counts.
func TestUpstreamsBySender(t *testing.T) {
	other := func() *smtptest.Server {
		return smtptest.NewServer(t, &smtpserver.Server{Auth: smtpserver.PasswordAuth(passwords), AllowInsecureAuth: true})
	}
	all, alarm, alarm2, sales := smtptest.NewServer(t, nil), other(), other(), other()
	secret := peers.File(t, password)
	down := peers.FreeAddr(t)
	p := relay(t, "-upstream", all.Addr, "-tls", "none", "-from", "relay@example.com",
		"-upstream-for", "*.example.org "+sales.Addr,
		"-upstream-for", "Alarm@example.org "+down+" "+user+" "+secret,
		"-upstream-for", "alarm@example.org "+alarm2.Addr+" "+user+" "+secret,
		"-upstream-for", "door@example.com "+alarm.Addr+" "+user+" "+secret,
		"-upstream-for", "gone@example.com "+down)
	for _, c := range []struct {
		from  string
		at    *smtptest.Server
		as    string
		login string
	}{
		{"alarm@example.org", alarm2, "alarm@example.org", user},
		{"door@example.com", alarm, "door@example.com", user},
		{"x@eu.example.org", sales, "x@eu.example.org", ""},
		{"y@example.org", sales, "y@example.org", ""},
		{"printer@example.com", all, "relay@example.com", ""},
	} {
		send(t, p, c.from, "admin@example.net")
		m := c.at.Inbox.Next(t)
		if m.From != c.as || m.Identity != c.login || !strings.Contains(m.Text, "\r\nFrom: "+c.as) && !strings.Contains(m.Text, "\r\nFrom: <"+c.as+">") {
			t.Errorf("mail of %s: from %s, login %q\n%s", c.from, m.From, m.Identity, m.Text)
		}
	}
	// The mail of a sender whose own upstream is down waits.
	send(t, p, "gone@example.com", "admin@example.net")
	peers.Await(t, "a warning", func() bool {
		return strings.Contains(p.Log(), "upstream for gone@example.com")
	})
	send(t, p, "printer@example.com", "admin@example.net")
	if m := all.Inbox.Next(t); m.From != "relay@example.com" {
		t.Errorf("the mail of %s did not wait", m.From)
	}
	p.Stop(t)
}

// An upstream that only refuses a recipient is no reason to ask the next one.
func TestRefusedMailIsNotSentToTheNextUpstream(t *testing.T) {
	first := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if to == "unknown@example.net" {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
			}
			return nil
		},
	}}})
	second := smtptest.NewServer(t, nil)
	p := relay(t, "-upstream", first.Addr+","+second.Addr)
	send(t, p, "printer@example.com", "unknown@example.net")
	if m := first.Inbox.Next(t); m.From != "" || m.To()[0] != "printer@example.com" || second.Inbox.Len() > 0 {
		t.Errorf("from %q to %v, %d at the second upstream", m.From, m.To(), second.Inbox.Len())
	}
	p.Stop(t)
}

// An upstream that refuses the login is down too.
func TestUpstreamThatRefusesTheLogin(t *testing.T) {
	first := smtptest.NewServer(t, &smtpserver.Server{AllowInsecureAuth: true, Limits: smtpserver.Limits{Tarpit: -1},
		Auth: smtpserver.PasswordAuth(func(context.Context, *smtpserver.Session, string, string) error { return smtp.ErrAuthFailed })})
	second := smtptest.NewServer(t, &smtpserver.Server{AllowInsecureAuth: true, Auth: smtpserver.PasswordAuth(passwords)})
	p := relay(t, "-upstream", first.Addr+","+second.Addr, "-user", user, "-password-file", peers.File(t, password), "-tls", "none")
	send(t, p, "printer@example.com", "admin@example.net")
	second.Inbox.Next(t)
	p.Stop(t)
}
