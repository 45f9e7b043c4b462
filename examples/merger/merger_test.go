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
	if os.Getenv("MERGER_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// serversAddr is where both systems' servers send from. The world is
// 127.0.0.1: Linux has all of 127.0.0.0/8.
const serversAddr = "127.0.0.2"

type world struct {
	ours, theirs, internet *peers.Postfix
	dns                    *dnstest.Server
	recipients, names      string // files
	relay                  string // address of the gateway
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "addresses")
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// literal is an address as a smart host.
func literal(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return "[" + host + "]:" + port
}

// start runs the gateway with settings for sharing until the test ends.
func (w *world) start(t *testing.T, share ...string) *peers.Process {
	t.Helper()
	_, port, _ := net.SplitHostPort(w.internet.Addr)
	p := peers.StartSelf(t, "MERGER_MAIN", 1, append(share, "-listen", "127.0.0.1:0",
		"-ours", "example.com", "-our-server", literal(w.ours.Addr), "-recipients", w.recipients,
		"-theirs", "example.org", "-their-server", literal(w.theirs.Addr), "-allow", serversAddr+"/32",
		"-hostname", "gateway.example.com", "-spool", t.TempDir(), "-dns", w.dns.Addr, "-port", port)...)
	w.relay = p.Addrs[0]
	return p
}

// arrives sends a message from the internet and wants it at a server.
func (w *world) arrives(t *testing.T, to string, at *peers.Postfix) {
	t.Helper()
	w.send(t, "carol@example.net", to)
	if m := at.Next(t); !strings.Contains(m, "X-Original-To: "+to+"\n") {
		t.Errorf("mail for %s came as\n%s", to, m)
	}
}

func (w *world) send(t *testing.T, from, to string, more ...string) {
	t.Helper()
	if out, err := peers.Swaks(t, append(more, "--server", w.relay, "--from", from, "--to", to)...); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
}

// reported wants a report of a failure to come to somebody's server.
func reported(t *testing.T, to string, at *peers.Postfix) {
	t.Helper()
	if m := at.Next(t); !strings.Contains(m, "X-Original-To: "+to+"\n") || !strings.Contains(m, "Status: 5.1.1") {
		t.Errorf("no report to %s, but\n%s", to, m)
	}
}

// The merger from its beginning to its end: alice is one of ours, bob one of
// theirs, carol somebody in the world.
func TestMerger(t *testing.T) {
	w := &world{
		ours: &peers.Postfix{Domains: "example.com", Main: "virtual_mailbox_maps = inline:{ { alice@example.com = box/ } }\n"},
		theirs: &peers.Postfix{Domains: "example.org example.com",
			Main: "virtual_mailbox_maps = inline:{ { bob@example.org = box/ } { bob@example.com = box/ } }\n"},
		internet:   &peers.Postfix{Domains: "example.net", Main: "virtual_mailbox_maps = inline:{ { carol@example.net = box/ } }\n"},
		dns:        dnstest.New(t, "example.net. MX 10 mx.example.net.\nmx.example.net. A 127.0.0.1"),
		recipients: file(t, "alice@example.com\n"), names: file(t, "bob@example.com\n"),
	}
	peers.StartPostfixes(t, w.ours, w.theirs, w.internet)

	p := w.start(t, "-share", "none")
	w.arrives(t, "alice@example.com", w.ours)
	w.arrives(t, "bob@example.org", w.theirs)
	w.refused(t, "bob@example.com", "550 5.1.1")
	w.refused(t, "dave@elsewhere.test", "550 5.7.1 Unable to relay")
	w.send(t, "bob@example.org", "carol@example.net", "--local-interface", serversAddr)
	if m := w.internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net\n") {
		t.Errorf("the internet received\n%s", m)
	}
	p.Stop(t)

	p = w.start(t, "-share", "names", "-names", w.names)
	w.arrives(t, "alice@example.com", w.ours)
	w.arrives(t, "bob@example.com", w.theirs)
	w.arrives(t, "bob@example.org", w.theirs)
	w.refused(t, "nobody@example.com", "550 5.1.1")
	p.Stop(t)

	p = w.start(t, "-share", "unresolved")
	w.arrives(t, "alice@example.com", w.ours)
	w.arrives(t, "bob@example.com", w.theirs)
	// Their system has the last word, and the sender hears it.
	w.send(t, "carol@example.net", "nobody@example.com")
	reported(t, "carol@example.net", w.internet)
	// A report to one of theirs is not lost at our system.
	w.send(t, "bob@example.com", "nobody@example.net", "--local-interface", serversAddr)
	reported(t, "bob@example.com", w.theirs)
	p.Stop(t)
}

func (w *world) refused(t *testing.T, to, reply string) {
	t.Helper()
	smtptest.Talk(t, w.relay, `
		S: 220
		C: EHLO mx.example.net
		S: 250
		C: MAIL FROM:<carol@example.net>
		S: 250
		C: RCPT TO:<`+to+`>
		S: `+reply+`
	`)
}

func TestWrongSettingsAreNamed(t *testing.T) {
	good := settings{ours: "example.com", ourServer: "mail.example.com", recipients: file(t, "alice\n"), theirs: "example.org",
		theirServer: "mail.example.org", share: "none", spool: t.TempDir(), port: 25}
	for want, change := range map[string]func(*settings){
		"-ours":               func(s *settings) { s.ours = "" },
		"-their-server":       func(s *settings) { s.theirServer = "" },
		"connector theirs":    func(s *settings) { s.theirServer = "no host" },
		"-recipients":         func(s *settings) { s.recipients = "/nowhere/at/all" },
		`no such thing: "so"`: func(s *settings) { s.share = "so" },
		"-names: is for":      func(s *settings) { s.share = "names" },
		`-allow: "server"`:    func(s *settings) { s.allow = "server" },
	} {
		s := good
		change(&s)
		if _, err := newRelay(&s, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
