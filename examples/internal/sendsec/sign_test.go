package sendsec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// dkimpy checks a message with the records of a zone file: its DKIM signature or its
// ARC chain.
func dkimpy(t *testing.T, what, zone, message string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(file, []byte(message), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(peers.Python(t, "dkimpy (Debian packages python3-dkim and python3-nacl)", `
import sys, dkim
records = {}
for line in sys.argv[2].splitlines():
    name, _, text = line.split(' ', 2)
    records[name.encode()] = text.strip('"').encode()
message = open(sys.argv[3], 'rb').read()
lookup = lambda name, timeout=5: records.get(name)
if sys.argv[1] == 'dkim':
    print(dkim.verify(message, dnsfunc=lookup))
else:
    print(dkim.arc_verify(message, dnsfunc=lookup)[0].decode())
`, what, zone, file)))
}

// The mail of the organization gets a signature that dkimpy accepts: mail of clients,
// with a subdomain, and delivery reports. Mail of other authors gets none, and neither
// does mail from the internet. A reload changes the key.
func TestDKIM(t *testing.T) {
	t.Parallel()
	server := smtptest.NewServer(t, nil)
	file, key := dkimKey(t, "org.example")
	zone := record(t, key)
	dns := dnstest.New(t, zone, "no.example. MX 0 .\n")
	always := []string{"server: " + server.Addr, "dns: " + dns.Addr, "report-from: postmaster@org.example", "send.dkim.domain: org.example", "send.dkim.key: " + file}
	g := startGate(t, always, "send.dkim.selector: s1")
	for _, c := range []struct {
		listener int
		author   string
		signed   bool
	}{{0, "alice@org.example", true}, {0, "bob@sales.org.example", true}, {0, "carol@elsewhere.example", false}, {1, "alice@org.example", false}} {
		g.sendText(c.listener, c.author, "dave@org.example", strings.Replace(text(c.author), "From: alice@org.example", "From: "+c.author, 1))
		m := server.Inbox.Next(t)
		if got := strings.Contains(m.Text, "DKIM-Signature: "); got != c.signed {
			t.Errorf("%s, listener %d: signed %v\n%s", c.author, c.listener, got, m.Text)
		}
		if c.signed && dkimpy(t, "dkim", zone, m.Text) != "True" {
			t.Errorf("%s: dkimpy does not accept the signature\n%s", c.author, m.Text)
		}
	}
	g.sendText(0, "alice@org.example", "x@no.example", text("to a domain without mail"))
	if m := server.Inbox.Next(t); m.From != "" || dkimpy(t, "dkim", zone, m.Text) != "True" {
		t.Errorf("a report without a valid signature\n%s", m.Text)
	}
	g.reload("send.dkim.selector: s2")
	g.send("dave@org.example", "after the reload")
	if m := server.Inbox.Next(t); !strings.Contains(m.Text, "s=s2") {
		t.Errorf("the selector is not s2\n%s", m.Text)
	}
	g.p.Stop(t)
}

// The chain of a message from the internet is verified, and with seal it is extended
// so that dkimpy accepts it.
func TestARC(t *testing.T) {
	t.Parallel()
	server := smtptest.NewServer(t, nil)
	file, key := rsaKey(t, "org.example") // dkimpy accepts no other in a chain
	zone := record(t, key)
	dns := dnstest.New(t, zone)
	g := startGate(t, []string{"server: " + server.Addr, "dns: " + dns.Addr, "send.dkim.domain: org.example", "send.dkim.key: " + file, "send.dkim.selector: s1"})
	receive := func(text string) string {
		t.Helper()
		g.sendText(1, "eve@elsewhere.example", "dave@org.example", text)
		return server.Inbox.Next(t).Text
	}
	first := receive(text("no ARC"))
	if strings.Contains(first, "arc=") || strings.Contains(first, "ARC-Seal") {
		t.Errorf("ARC is off\n%s", first)
	}
	g.reload("filters.arc: check")
	if got := receive(text("checked")); !strings.Contains(got, "arc=none") || strings.Contains(got, "ARC-Seal") {
		t.Errorf("ARC is not only checked\n%s", got)
	}
	g.reload("filters.arc: seal")
	sealed := receive(text("sealed"))
	if dkimpy(t, "arc", zone, sealed) != "pass" || !strings.Contains(sealed, "ARC-Seal: i=1;") {
		t.Errorf("dkimpy does not accept the chain\n%s", sealed)
	}
	// The same message comes back, as from another forwarder.
	again := receive(sealed)
	if dkimpy(t, "arc", zone, again) != "pass" || !strings.Contains(again, "ARC-Seal: i=2;") || !strings.Contains(again, "arc=pass") {
		t.Errorf("the chain was not extended\n%s", again)
	}
	if got := receive(strings.Replace(sealed, "Hello", "Goodbye", 1)); !strings.Contains(got, "arc=fail") {
		t.Errorf("a changed message has a valid chain\n%s", got)
	}
	g.sendText(0, "alice@org.example", "dave@org.example", text("of the organization"))
	if m := server.Inbox.Next(t); strings.Contains(m.Text, "ARC-Seal") {
		t.Errorf("mail of the organization is sealed\n%s", m.Text)
	}
	g.p.Stop(t)
}
