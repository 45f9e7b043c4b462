package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The settings that the README names beside those of the SMTP service of Windows have
// their effect, all in one file. Other tests are about the rest: limits of connections,
// -port, -dns, -tls, -user, -upstream-for, -expire and -delay-notice.
func TestMigratedSettings(t *testing.T) {
	upstream := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Name: "recipients",
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if strings.HasPrefix(to, "unknown@") {
				return smtpserver.Reject(550, "5.1.1", "User unknown")
			}
			return nil
		},
	}}})
	dir, cert := t.TempDir(), smtptest.Certificate(t, "relay.example.com")
	file := peers.File(t, strings.NewReplacer("DIR", dir, "UPSTREAM", "\"["+strings.Replace(upstream.Addr, ":", "]:", 1)+"\"", "PEM", peers.File(t, string(peers.PEM(t, &cert)))).Replace(`
listen: 127.0.0.1:0
hostname: relay.example.com
protocol-log: w3c
logs: DIR/logs
any-login: true
cert: PEM
key: PEM
allow: [127.0.0.0/8]
max-size: 100K
max-recipients: 2
postmaster: admin@example.com
bad-mail: DIR/bad
upstream: UPSTREAM
max-hops: 2
from: relay@example.com
default-domain: example.com
pause: none
pickup: DIR/pickup
spool: DIR/spool
`))
	p := peers.StartSelf(t, asMain, 1, "-config", file)
	smtptest.Talk(t, p.Addrs[0], `
S: 220 relay.example.com
C: EHLO printer
S: 250 SIZE 102400
C: AUTH PLAIN AGEAYg==
S: 235
C: MAIL FROM:<a@example.net> SIZE=200000
S: 552 5.3.4
C: MAIL FROM:<printer>
S: 250
C: RCPT TO:<b@example.net>
S: 250
C: RCPT TO:<unknown@example.net>
S: 250
C: RCPT TO:<c@example.net>
S: 452 4.5.3
C: DATA
S: 354
C: From: Printer <printer>
C: Subject: scan
C:
C: .
S: 250
C: MAIL FROM:<>
S: 250
C: RCPT TO:<unknown@example.net>
S: 250
C: DATA
S: 354
C: Subject: a report
C:
C: .
S: 250
C: MAIL FROM:<a@example.net>
S: 250
C: RCPT TO:<b@example.net>
S: 250
C: DATA
S: 354
C: Received: from a by b
C: Received: from b by c
C: Received: from c by d
C:
C: .
S: 554 5.4.6
C: STARTTLS
S: 220
`)
	if m := upstream.Inbox.Next(t); m.From != "relay@example.com" || m.To()[0] != "b@example.net" ||
		!strings.Contains(m.Text, "From: Printer <relay@example.com>\r\nReply-To: Printer <printer@example.com>\r\n") {
		t.Errorf("from %s to %s\n%s", m.From, m.To(), m.Text)
	}
	if m := upstream.Inbox.Next(t); m.From != "relay@example.com" || len(m.To()) != 2 || m.To()[1] != "admin@example.com" {
		t.Errorf("the report is from %q to %s", m.From, m.To())
	}
	peers.Await(t, "bad mail", func() bool { return len(glob(t, dir, "bad/*")) > 0 })
	if err := os.WriteFile(filepath.Join(dir, "pickup", "a.eml"), []byte("From: a@example.net\r\nTo: d@example.net\r\n\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m := upstream.Inbox.Next(t); m.To()[0] != "d@example.net" {
		t.Errorf("the file of the pickup folder went to %s", m.To())
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Replace(string(text), "pause: none", "pause: receiving", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Signal(t, syscall.SIGHUP)
	peers.Await(t, "the pause", func() bool { return strings.Contains(p.Log(), "pause=receiving") })
	smtptest.Talk(t, p.Addrs[0], "S: 421 4.3.2\nEOF")
	p.Stop(t)
	for _, want := range []string{"logs/ex*.log", "logs/exsend*.log", "logs/tracking/MSGTRK*.log"} {
		if len(glob(t, dir, want)) == 0 {
			t.Errorf("no %s", want)
		}
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}
