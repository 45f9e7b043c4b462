package main

import (
	"crypto/tls"
	"encoding/pem"
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

const asMain = "BRIDGEHEAD_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// The internet is 127.0.0.1 here, and the member 127.0.0.2: Linux has all of
// 127.0.0.0/8.
const memberAddr = "127.0.0.2"

// A world has a member of the organization, the internet's server, and the
// partner's, which is an Exim.
type world struct {
	t                *testing.T
	member, internet *peers.Postfix
	partner          *peers.Exim
	args             []string // of the bridgehead
	relay            string   // its address
}

// newWorld makes a world. The partner has the first certificate. The bridgehead
// trusts all of them.
func newWorld(t *testing.T, certs ...tls.Certificate) *world {
	w := &world{t: t, relay: peers.FreeAddr(t)}
	_, relayPort, _ := net.SplitHostPort(w.relay)
	_, free, _ := net.SplitHostPort(peers.FreeAddr(t))
	w.member = &peers.Postfix{Domains: "example.com", Addr: memberAddr + ":" + free,
		Main: "relayhost = [127.0.0.1]:" + relayPort + "\ninet_interfaces = 127.0.0.1\nsmtp_bind_address = " + memberAddr + "\n"}
	// The internet's server would accept the partner's mail too, and the MX
	// record points to it.
	w.internet = &peers.Postfix{Domains: "example.net army.mil"}
	peers.StartPostfixes(t, w.member, w.internet)
	w.partner = (&peers.Exim{Domains: "army.mil", Certificate: &certs[0]}).Start(t)
	dns := dnstest.New(t, `
		example.net.    MX 10 mx.example.net.
		army.mil.       MX 10 mx.example.net.
		mx.example.net. A 127.0.0.1
		mx.army.mil.    A 127.0.0.1
	`)
	_, partnerPort, _ := net.SplitHostPort(w.partner.Addr)
	_, internetPort, _ := net.SplitHostPort(w.internet.Addr)
	w.args = []string{"-listen", w.relay, "-member", "example.com=" + w.member.Addr,
		"-partner", "mx.army.mil:" + partnerPort, "-partner-roots", rootsFile(t, certs),
		"-hostname", "bridgehead.example.com", "-spool", t.TempDir(), "-dns", dns.Addr, "-port", internetPort}
	return w
}

func rootsFile(t *testing.T, roots []tls.Certificate) (name string) {
	t.Helper()
	var text []byte
	for _, c := range roots {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
	}
	name = filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// start runs the bridgehead.
func (w *world) start() *peers.Process {
	w.t.Helper()
	return peers.StartSelf(w.t, asMain, 1, w.args...)
}

func (w *world) send(server, from, to string, more ...string) {
	w.t.Helper()
	if out, err := peers.Swaks(w.t, append(more, "--server", server, "--from", from, "--to", to)...); err != nil {
		w.t.Fatalf("swaks: %v\n%s", err, out)
	}
}

func TestThreeConnectors(t *testing.T) {
	w := newWorld(t, smtptest.Certificate(t, "mx.army.mil"))
	p := w.start()

	// From the internet to the member.
	w.send(w.relay, "carol@example.net", "alice@example.com")
	if m := w.member.Next(t); !strings.Contains(m, "X-Original-To: alice@example.com") {
		t.Errorf("the member received\n%s", m)
	}
	// From the member to the internet, by MX.
	w.send(w.member.Addr, "alice@example.com", "carol@example.net")
	if m := w.internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net") || !strings.Contains(m, "by bridgehead.example.com") {
		t.Errorf("the internet received\n%s", m)
	}
	// From the member to the partner, under TLS with the certificate validated.
	w.send(w.member.Addr, "alice@example.com", "general@army.mil")
	if m := w.partner.Next(t); !strings.Contains(m, "Envelope-to: general@army.mil") || !strings.Contains(m, "with esmtps  (TLS1.3)") {
		t.Errorf("the partner received\n%s", m)
	}
	// A client from the internet can send only to the members' domains, and not
	// from their senders.
	smtptest.Talk(t, w.relay, `
		S: 220
		C: EHLO stranger.test
		S: 250
		C: MAIL FROM:<carol@example.net>
		S: 250
		C: RCPT TO:<general@army.mil>
		S: 550 5.7.1 Unable to relay
		C: RCPT TO:<dave@example.org>
		S: 550 5.7.1 Unable to relay
		C: RSET
		S: 250
		C: MAIL FROM:<alice@example.com>
		S: 550 5.7.1
	`)
	p.Stop(t)
}

// The partner's mail waits while its host is down, or has no trusted certificate
// for its name. The internet's server is up and would accept the mail, but does
// not get it. The mail arrives when the host works again.
func TestPartnersMailWaits(t *testing.T) {
	right, another, selfSigned := smtptest.Certificate(t, "mx.army.mil"), smtptest.Certificate(t, "mx.navy.mil"), smtptest.Certificate(t, "mx.army.mil")
	w := newWorld(t, right, another)
	for to, certificate := range map[string]*tls.Certificate{"another@army.mil": &another, "self-signed@army.mil": &selfSigned, "down@army.mil": nil} {
		w.partner.Stop()
		if certificate != nil {
			w.partner.Certificate = certificate
			w.partner.Start(t)
		}
		p := w.start()
		w.send(w.member.Addr, "alice@example.com", to)
		peers.Await(t, "a failed attempt", func() bool {
			return strings.Contains(p.Log(), `msg="queue: deferred"`) && strings.Contains(p.Log(), "to="+to)
		})
		p.Stop(t)
		if strings.Contains(w.partner.Log(t), to) || strings.Contains(w.internet.Log(t), to) {
			t.Errorf("the mail for %s went out", to)
		}

		w.partner.Stop()
		w.partner.Certificate = &right
		w.partner.Start(t)
		p = w.start() // it tries the waiting mail at once
		if m := w.partner.Next(t); !strings.Contains(m, "Envelope-to: "+to) {
			t.Errorf("the partner received\n%s", m)
		}
		p.Stop(t)
	}
	if strings.Contains(w.internet.Log(t), "army.mil") {
		t.Errorf("the internet's server was asked for the partner")
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for args, want := range map[string]string{
		"":                                     "-member: is required",
		"-member example.com":                  "example.com is not domain=address",
		"-member =10.1.0.5":                    "is not domain=address",
		"-member example.com=mail.example.com": "is not domain=address",
		"-member example.com=10.1.0.5":         "-partner: is required",
		"-partner-roots /nowhere/at/all":       "-partner-roots: open /nowhere/at/all",
		"-partner-roots relay.go":              "-partner-roots: no certificate in",
		"-member example.com=10.1.0.5 -partner mx.army.mil":                          "-spool: is required",
		"-member example.com=10.1.0.5 -partner mx_army.mil:0 -spool /nowhere/at/all": `-partner: "mx_army.mil:0": the port "0"`,
		"-partner-domains a..b":           `-partner-domains: "a..b"`,
		"-partner-priorities high,urgent": `-partner-priorities: "urgent" is not high, normal or low`,
		"-partner-user x":                 "-partner-user: and -partner-password-file are required together",
		"-partner-header-priority":        "-partner-header-priority: needs -partner-priorities",
		"-port 25 restart":                `"restart" is not a flag`,
	} {
		if got := peers.RefuseSelf(t, asMain, strings.Fields(args)...); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %q", args, got, want)
		}
	}
}
