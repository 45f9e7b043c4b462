package main

import (
	"encoding/pem"
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
	if os.Getenv("BRIDGEHEAD_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// The internet is 127.0.0.1 here, and the member 127.0.0.2: Linux has all of
// 127.0.0.0/8.
const memberAddr = "127.0.0.2"

type world struct {
	t                         *testing.T
	member, internet, partner *peers.Postfix
	roots                     string // file with the partner's certificate
	relay                     string
	dns                       *dnstest.Server
}

func newWorld(t *testing.T) *world {
	cert := smtptest.Certificate(t, "mx.army.mil")
	w := &world{t: t, relay: peers.FreeAddr(t), roots: filepath.Join(t.TempDir(), "roots.pem")}
	if err := os.WriteFile(w.roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, relayPort, _ := net.SplitHostPort(w.relay)
	_, free, _ := net.SplitHostPort(peers.FreeAddr(t))
	w.member = &peers.Postfix{Domains: "example.com", Addr: memberAddr + ":" + free,
		Main: "relayhost = [127.0.0.1]:" + relayPort + "\ninet_interfaces = 127.0.0.1\nsmtp_bind_address = " + memberAddr + "\n"}
	// The internet's server would take the partner's mail as well.
	w.internet = &peers.Postfix{Domains: "example.net army.mil"}
	w.partner = &peers.Postfix{Domains: "army.mil", Certificate: &cert}
	peers.StartPostfixes(t, w.member, w.internet, w.partner)
	w.dns = dnstest.New(t, `
		example.net.    MX 10 mx.example.net.
		army.mil.       MX 10 mx.example.net.
		mx.example.net. A 127.0.0.1
		mx.army.mil.    A 127.0.0.1
	`)
	return w
}

// start runs the bridgehead.
func (w *world) start(partner string, more ...string) *peers.Process {
	w.t.Helper()
	_, partnerPort, _ := net.SplitHostPort(partner)
	_, internetPort, _ := net.SplitHostPort(w.internet.Addr)
	return peers.StartSelf(w.t, "BRIDGEHEAD_MAIN", 1, append(more, "-listen", w.relay, "-member", "example.com="+w.member.Addr,
		"-partner", "mx.army.mil:"+partnerPort, "-hostname", "bridgehead.example.com", "-spool", w.t.TempDir(),
		"-dns", w.dns.Addr, "-port", internetPort)...)
}

func (w *world) send(server, from, to string, more ...string) {
	w.t.Helper()
	if out, err := peers.Swaks(w.t, append(more, "--server", server, "--from", from, "--to", to)...); err != nil {
		w.t.Fatalf("swaks: %v\n%s", err, out)
	}
}

func TestThreeWays(t *testing.T) {
	w := newWorld(t)
	p := w.start(w.partner.Addr, "-partner-roots", w.roots)

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
	// From the member to the partner, under TLS.
	w.send(w.member.Addr, "alice@example.com", "general@army.mil")
	if m := w.partner.Next(t); !strings.Contains(m, "X-Original-To: general@army.mil") || !strings.Contains(m, "(using TLSv1.3") {
		t.Errorf("the partner received\n%s", m)
	}
	// Strangers send to nobody but us, and not in our name.
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

	// Neither a certificate that nobody vouches for nor a host that is down
	// makes the partner's mail take another way.
	for name, partner := range map[string]string{"unknown certificate": w.partner.Addr, "down": peers.FreeAddr(t)} {
		p := w.start(partner)
		w.send(w.relay, "alice@example.com", "secret@army.mil", "--local-interface", memberAddr)
		peers.Await(t, "an attempt in vain: "+name, func() bool { return strings.Contains(p.Log(), "queue: deferred") })
		p.Stop(t)
		for _, pf := range []*peers.Postfix{w.internet, w.partner} {
			if strings.Contains(pf.Log(t), "secret@army.mil") {
				t.Errorf("%s: the mail went to %s", name, pf.Domains)
			}
		}
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for want, change := range map[string]func(*settings){
		"-member":               func(s *settings) { s.members = nil },
		"-partner: is needed":   func(s *settings) { s.partner = "" },
		"connector partner":     func(s *settings) { s.partner = "no host" },
		"-partner-roots: open":  func(s *settings) { s.roots = "/nowhere/at/all" },
		"-partner-roots: no ce": func(s *settings) { s.roots = os.Args[0] },
	} {
		s := settings{partner: "mx.army.mil", space: "*.mil", spool: t.TempDir(), port: 25}
		if err := s.addMember("example.com=10.1.0.5"); err != nil {
			t.Fatal(err)
		}
		change(&s)
		if _, err := newRelay(&s, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	for _, text := range []string{"example.com", "=10.1.0.5", "example.com=mail.example.com"} {
		if err := new(settings).addMember(text); err == nil {
			t.Errorf("-member %s is taken", text)
		}
	}
}
