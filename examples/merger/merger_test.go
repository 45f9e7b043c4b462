package main

import (
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const asMain = "MERGER_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// serversAddr is the address that both systems' servers send from. The internet
// is 127.0.0.1: Linux has all of 127.0.0.0/8.
const serversAddr = "127.0.0.2"

type world struct {
	ours, theirs, internet *peers.Postfix
	dns                    *dnstest.Server
	recipients, names      string // files
	spool                  string // folder
	relay                  string // address of the gateway
}

// start runs the gateway with the flags for sharing.
func (w *world) start(t *testing.T, share ...string) *peers.Process {
	t.Helper()
	_, port, _ := net.SplitHostPort(w.internet.Addr)
	_, theirPort, _ := net.SplitHostPort(w.theirs.Addr)
	p := peers.StartSelf(t, asMain, 1, append([]string{"-listen", "127.0.0.1:0",
		"-ours", "example.com", "-our-server", w.ours.Addr, "-recipients", w.recipients,
		"-theirs", "example.org", "-their-server", "[127.0.0.1]:" + theirPort, "-allow", serversAddr,
		"-hostname", "gateway.example.com", "-spool", w.spool, "-dns", w.dns.Addr, "-port", port}, share...)...)
	w.relay = p.Addrs[0]
	return p
}

// arrives sends a message from the internet and checks that it comes to a server.
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

// reported checks that a failure report for to comes to a server.
func reported(t *testing.T, to string, at *peers.Postfix) {
	t.Helper()
	if m := at.Next(t); !strings.Contains(m, "X-Original-To: "+to+"\n") || !strings.Contains(m, "Status: 5.1.1") {
		t.Errorf("no report to %s, but\n%s", to, m)
	}
}

// All values of -share, one after the other. alice is on our system, bob on
// theirs, carol on the internet.
func TestMerger(t *testing.T) {
	w := &world{
		ours: &peers.Postfix{Domains: "example.com", Main: "virtual_mailbox_maps = inline:{ { alice@example.com = box/ } }\n"},
		theirs: &peers.Postfix{Domains: "example.org example.com",
			Main: "virtual_mailbox_maps = inline:{ { bob@example.org = box/ } { bob@example.com = box/ } }\n"},
		internet: &peers.Postfix{Domains: "example.net", Main: "virtual_mailbox_maps = inline:{ { carol@example.net = box/ } }\n"},
		dns: dnstest.New(t, `
			example.net.    MX 10 mx.example.net.
			example.com.    MX 10 mx.example.net.
			mx.example.net. A 127.0.0.1
		`),
		spool: t.TempDir(), recipients: peers.File(t, "alice@example.com\n"), names: peers.File(t, "bob@example.com\n"),
	}
	peers.StartPostfixes(t, w.ours, w.theirs, w.internet)

	// While our system is down, its mail waits, although the DNS has an MX host.
	p := w.start(t, "-our-server", "127.0.0.1:9")
	w.send(t, "carol@example.net", "alice@example.com")
	peers.Await(t, "a failed attempt", func() bool { return strings.Contains(p.Log(), `msg="queue: deferred"`) })
	p.Stop(t)
	if strings.Contains(w.internet.Log(t), "alice@example.com") {
		t.Error("our mail went to the internet")
	}

	p = w.start(t, "-share", "none")
	if m := w.ours.Next(t); !strings.Contains(m, "X-Original-To: alice@example.com\n") {
		t.Errorf("the waiting mail came as\n%s", m)
	}
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
	w.refused(t, "unknown@example.com", "550 5.1.1")
	p.Stop(t)

	p = w.start(t, "-share", "unresolved")
	w.arrives(t, "alice@example.com", w.ours)
	w.arrives(t, "bob@example.com", w.theirs)
	// Their system refuses an unknown recipient, and the sender gets a report.
	w.send(t, "carol@example.net", "unknown@example.com")
	reported(t, "carol@example.net", w.internet)
	// A report to one of their users goes to their system.
	w.send(t, "bob@example.com", "unknown@example.net", "--local-interface", serversAddr)
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
	both := "-ours example.com -our-server mail.example.com -recipients " + peers.File(t, "alice\n") + " -theirs example.org -their-server mail.example.org "
	for args, want := range map[string]string{
		"":                            "-recipients: is required",
		"-recipients /nowhere/at/all": "-recipients: stat /nowhere/at/all",
		"-allow server":               `invalid value "server" for flag -allow: policy: network "server"`,
		both:                          "-spool: is required",
		both + "-ldap-limits":         "-ldap-limits: needs -ldap",
		both + "-primary":             "-primary: needs -ldap",
		both + "-ldap-route mailHost": "-ldap-route: has no effect without -ldap",
		both + "-ldap ldaps://dc1":    "-ldap-base: is required",
		both + "-ldap dc1":            "-ldap: ldap: URL",
		both + "-aliases " + peers.File(t, "a@example.com:\n"): ": line 1: the entry has no members",
		both + "-theirs= ":                                "-theirs: is required",
		both + "-share names":                             "-names: is required with -share names",
		both + "-spool /nowhere/at/all -share so":         `-share: "so" is not none, names`,
		both + "-spool /nowhere/at/all -ours so..so":      `"so..so"`,
		both + "-spool /nowhere/at/all -their-server a:0": `-their-server: "a:0": the port "0"`,
		both + "-our-server a:0":                          `-our-server: "a:0": the port "0"`,
	} {
		if got := peers.RefuseSelf(t, asMain, strings.Fields(args)...); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %q", args, got, want)
		}
	}
}
