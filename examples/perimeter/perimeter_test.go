package main

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) {
	if os.Getenv("PERIMETER_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// The world is 127.0.0.1 here, and the bridgehead 127.0.0.2: Linux has all of
// 127.0.0.0/8.
const bridgeheadAddr = "127.0.0.2"

func TestBothWays(t *testing.T) {
	dns := dnstest.New(t, "example.net. MX 10 mx.example.net.\nmx.example.net. A 127.0.0.1")
	recipients := filepath.Join(t.TempDir(), "recipients")
	if err := os.WriteFile(recipients, []byte("alice@example.com\nbob@example.org # moved\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	relayAddr := peers.FreeAddr(t)
	relayHost, relayPort, _ := net.SplitHostPort(relayAddr)
	_, free, _ := net.SplitHostPort(peers.FreeAddr(t))
	bridgehead := &peers.Postfix{Domains: "example.com example.org", Addr: bridgeheadAddr + ":" + free,
		Main: "relayhost = [" + relayHost + "]:" + relayPort + "\ninet_interfaces = 127.0.0.1\nsmtp_bind_address = " + bridgeheadAddr + "\n"}
	internet := &peers.Postfix{Domains: "example.net"}
	peers.StartPostfixes(t, bridgehead, internet)
	_, internetPort, _ := net.SplitHostPort(internet.Addr)
	p := peers.StartSelf(t, "PERIMETER_MAIN", 1, "-listen", relayAddr, "-domains", "example.com,example.org",
		"-bridgehead", bridgehead.Addr, "-recipients", recipients, "-hostname", "relay.example.com",
		"-spool", t.TempDir(), "-dns", dns.Addr, "-port", internetPort)

	// Inbound, to both domains.
	for _, to := range []string{"alice@example.com", "bob@example.org"} {
		if out, err := peers.Swaks(t, "--server", relayAddr, "--from", "carol@example.net", "--to", to); err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
		if m := bridgehead.Next(t); !strings.Contains(m, "X-Original-To: "+to) || !strings.Contains(m, "by relay.example.com") {
			t.Errorf("the bridgehead received\n%s", m)
		}
	}

	// Outbound: a user's mail goes to the bridgehead, from there to us, and by
	// MX to the world.
	if out, err := peers.Swaks(t, "--server", bridgehead.Addr, "--from", "alice@example.com", "--to", "carol@example.net"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	if m := internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net") || !strings.Contains(m, "by relay.example.com") {
		t.Errorf("the internet received\n%s", m)
	}

	// What a stranger tries.
	smtptest.Talk(t, relayAddr, `
		S: 220 relay.example.com
		C: EHLO stranger.test
		S: 250
		C: MAIL FROM:<carol@example.net>
		S: 250
		C: RCPT TO:<nobody@example.com>
		S: 550 5.1.1
		C: RCPT TO:<dave@elsewhere.test>
		S: 550 5.7.1 Unable to relay
		C: RCPT TO:<"dave@elsewhere.test"@example.com>
		S: 550 5.1.1
		C: RSET
		S: 250
		C: MAIL FROM:<alice@example.com>
		S: 550 5.7.1
	`)
	p.Stop(t)
}

func TestWrongSettingsAreNamed(t *testing.T) {
	good := settings{domains: "example.com", bridgehead: "10.1.0.25", spool: t.TempDir(), port: 25}
	for want, change := range map[string]func(*settings){
		"-domains":                       func(s *settings) { s.domains = "" },
		"-spool":                         func(s *settings) { s.spool = "" },
		`-bridgehead: "b.example.com"`:   func(s *settings) { s.bridgehead = "b.example.com" },
		"-recipients: policy: directory": func(s *settings) { s.recipients = "/nowhere/at/all" },
		"organisation":                   func(s *settings) { s.domains = "example.com,exa mple" },
	} {
		s := good
		change(&s)
		if _, err := newRelay(&s, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
