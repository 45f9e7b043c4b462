package main

import (
	"crypto/tls"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The bridgehead logs in at the partner, a Postfix, over TLS with a verified certificate.
// While the partner refuses the password, the mail waits.
func TestPartnerAccount(t *testing.T) {
	cert := smtptest.Certificate(t, "mx.army.mil")
	partner := (&peers.Postfix{Domains: "army.mil", Certificate: &cert, Accounts: map[string]string{"bridgehead": "sesame-4711"}}).Start(t)
	_, port, _ := net.SplitHostPort(partner.Addr)
	dns := dnstest.New(t, "mx.army.mil. A 127.0.0.1\n")
	password := peers.File(t, "guessed-0815\n")
	p := peers.StartSelf(t, asMain, 1, "-listen", "127.0.0.1:0", "-member", "example.com="+memberAddr, "-partner", "mx.army.mil:"+port,
		"-partner-roots", rootsFile(t, []tls.Certificate{cert}), "-partner-user", "bridgehead", "-partner-password-file", password,
		"-hostname", "bridgehead.example.com", "-spool", t.TempDir(), "-dns", dns.Addr)
	if out, err := peers.Swaks(t, "--server", p.Addrs[0], "--local-interface", memberAddr, "--from", "alice@example.com", "--to", "general@army.mil"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	peers.Await(t, "a refused login", func() bool { return strings.Contains(p.Log(), "535 5.7.8") })
	if err := os.WriteFile(password, []byte("sesame-4711\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Signal(t, syscall.SIGHUP) // the mail that waits is tried again
	if m := partner.Next(t); !strings.Contains(m, "(Authenticated sender: bridgehead)") || !strings.Contains(m, "(using TLSv1.3") {
		t.Errorf("the partner received\n%s", m)
	}
	p.Stop(t)
	if log := p.Log(); strings.Contains(log, "sesame-4711") || strings.Contains(log, "guessed-0815") {
		t.Error("the log has a password")
	}
}
