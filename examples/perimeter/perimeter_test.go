package main

import (
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

const asMain = "PERIMETER_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// The world is 127.0.0.1 here, and the bridgehead 127.0.0.2: Linux has all of
// 127.0.0.0/8.
const bridgeheadAddr = "127.0.0.2"

func TestInboundAndOutbound(t *testing.T) {
	// The internet's server would accept the organization's mail too, and the
	// MX record points to it.
	dns := dnstest.New(t, `
		example.net.    MX 10 mx.example.net.
		example.com.    MX 10 mx.example.net.
		mx.example.net. A 127.0.0.1
	`)
	recipients := filepath.Join(t.TempDir(), "recipients")
	if err := os.WriteFile(recipients, []byte("alice@example.com\nbob@example.org # moved\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	relayAddr := peers.FreeAddr(t)
	_, relayPort, _ := net.SplitHostPort(relayAddr)
	_, free, _ := net.SplitHostPort(peers.FreeAddr(t))
	bridgehead := &peers.Postfix{Domains: "example.com example.org", Addr: bridgeheadAddr + ":" + free,
		Main: "relayhost = [127.0.0.1]:" + relayPort + "\ninet_interfaces = 127.0.0.1\nsmtp_bind_address = " + bridgeheadAddr + "\n"}
	internet := &peers.Postfix{Domains: "example.net example.com"}
	peers.StartPostfixes(t, bridgehead, internet)
	_, internetPort, _ := net.SplitHostPort(internet.Addr)
	spool := t.TempDir()
	start := func(bridgehead string) *peers.Process {
		return peers.StartSelf(t, asMain, 1, "-listen", relayAddr, "-domains", "example.com,example.org",
			"-bridgehead", bridgehead, "-recipients", recipients, "-hostname", "relay.example.com",
			"-spool", spool, "-dns", dns.Addr, "-port", internetPort)
	}

	// Inbound, to both domains. While the bridgehead is down, mail waits.
	p := start(bridgeheadAddr + ":9")
	for _, to := range []string{"alice@example.com", "bob@example.org"} {
		if out, err := peers.Swaks(t, "--server", relayAddr, "--from", "carol@example.net", "--to", to); err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
	}
	peers.Await(t, "a failed attempt", func() bool { return strings.Contains(p.Log(), `msg="queue: deferred"`) })
	p.Stop(t)
	if strings.Contains(internet.Log(t), "from=") {
		t.Error("the organization's mail went to the internet")
	}
	p = start(bridgehead.Addr)
	arrived := bridgehead.Next(t) + bridgehead.Next(t)
	for _, want := range []string{"X-Original-To: alice@example.com\n", "X-Original-To: bob@example.org\n", "by relay.example.com"} {
		if !strings.Contains(arrived, want) {
			t.Errorf("no %q in what the bridgehead received:\n%s", want, arrived)
		}
	}

	// Outbound: a user's mail goes to the bridgehead, from there to this relay,
	// and by MX to the internet.
	if out, err := peers.Swaks(t, "--server", bridgehead.Addr, "--from", "alice@example.com", "--to", "carol@example.net"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	if m := internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net") || !strings.Contains(m, "by relay.example.com") {
		t.Errorf("the internet received\n%s", m)
	}

	// A client from the internet: unknown mailbox, other domain, our own sender.
	smtptest.Talk(t, relayAddr, `
		S: 220 relay.example.com
		C: EHLO stranger.test
		S: 250
		C: MAIL FROM:<carol@example.net>
		S: 250
		C: RCPT TO:<unknown@example.com>
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
	for args, want := range map[string]string{
		"":                            "-domains: is required",
		"-domains example.com":        "-bridgehead: is required",
		"-bridgehead b.example.com":   `invalid value "b.example.com" for flag -bridgehead: not an IP address`,
		"-recipients /nowhere/at/all": "-recipients: stat /nowhere/at/all",
		"-domains example.com -bridgehead 10.1.0.25":                                      "-spool: is required",
		"-domains example.com,exa_mple..com -bridgehead 10.1.0.25 -spool /nowhere/at/all": `-domains: accepted domain "exa_mple..com"`,
	} {
		if got := peers.RefuseSelf(t, asMain, strings.Fields(args)...); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %q", args, got, want)
		}
	}
}
