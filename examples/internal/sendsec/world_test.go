package sendsec

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

const asMain = "SENDSEC_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" { // this test program as the command
		reports := make(chan struct{})
		alarm := make(chan os.Signal, 1)
		signal.Notify(alarm, syscall.SIGALRM)
		go func() {
			for range alarm {
				reports <- struct{}{}
			}
		}()
		testProgram(reports).Main()
	}
	goleak.VerifyTestMain(m)
}

func testProgram(reports <-chan struct{}) *program.Program {
	return &program.Program{Name: "border", ReadFile: readLines, New: func() program.Gateway { return &border{internet: Internet{due: reports}} }}
}

// A border is a small edge gateway: it sends the organization's mail to the internet,
// and mail from the internet to the organization's server.
type border struct {
	listen, outside, server string
	port                    int
	tls                     smtpclient.TLSLevel
	internet                Internet
	dkim                    DKIM
	arc                     ARC
}

func (b *border) Define(f *flag.FlagSet) {
	f.StringVar(&b.listen, "listen", "127.0.0.1:0", "`address` for the organization")
	f.StringVar(&b.outside, "outside", "127.0.0.1:0", "`address` for the internet")
	f.StringVar(&b.server, "server", "192.0.2.1", "`host` of the organization")
	f.IntVar(&b.port, "port", 25, "`port` of the MX hosts")
	f.TextVar(&b.tls, "tls", smtpclient.TLSDefault, "TLS `level`")
	b.internet.Define(f, "send.internet.")
	b.dkim.Define(f, "send.dkim.")
	b.arc.Define(f, "filters.")
}

func (b *border) Build(k *program.Kit) (r program.Rules) {
	domains := []policy.Domain{{Name: "org.example"}}
	internet := routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: b.port, TLS: &smtpclient.TLSPolicy{Level: b.tls},
		Scope: routing.Scope{ReceiveConnectors: []string{"inside", "dsn"}}}
	inside, outside := k.Server("inside"), k.Server("outside")
	ours := &policy.Gate{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	strangers := &policy.Gate{Domains: domains, MailAuth: nil}
	signer := b.dkim.Use(k, ours, &r)
	strangers.MailAuth = append(strangers.MailAuth, (&dkim.Verifier{Resolver: k.Resolver}).Agent())
	strangers.Inbound = append(strangers.Inbound, (&authres.Stamper{}).Agent())
	b.arc.Use(k, strangers, signer)
	b.internet.Use(k, &internet, &r, signer)
	r.Table = k.Table(domains, nil, internet,
		routing.Connector{Name: "organization", Spaces: []string{"--"}, SmartHosts: routing.SmartHosts(b.server)})
	k.Install("listen", ours, inside)
	k.Install("outside", strangers, outside)
	r.Receive = []program.Receive{{Server: inside, Address: b.listen}, {Server: outside, Address: b.outside, Setting: "outside"}}
	return r
}

// readLines reads lines of the form "name: value value".
func readLines(path string, text []byte) (all []program.Setting, err error) {
	n := 0
	for line := range strings.Lines(string(text)) {
		name, values, _ := strings.Cut(line, ":")
		n++
		one := program.Setting{Name: name, Line: n}
		for _, v := range strings.Fields(values) {
			one.Values = append(one.Values, program.Value{Text: v, Line: n})
		}
		all = append(all, one)
	}
	return all, nil
}

// A gate is a running border.
type gate struct {
	t      *testing.T
	config string
	spool  string
	always []string // settings
	p      *peers.Process
	ready  int // reloads
}

func startGate(t *testing.T, always []string, more ...string) *gate {
	t.Helper()
	g := &gate{t: t, config: peers.File(t, ""), spool: filepath.Join(t.TempDir(), "spool")}
	g.always = append([]string{"hostname: border.example", "spool: " + g.spool}, always...)
	g.start(more...)
	return g
}

func (g *gate) start(more ...string) {
	g.t.Helper()
	g.write(more...)
	g.p = peers.StartSelf(g.t, asMain, 2, "-config", g.config)
	g.ready = 0
}

func (g *gate) write(more ...string) {
	g.t.Helper()
	text := strings.Join(append(g.always[:len(g.always):len(g.always)], more...), "\n") + "\n"
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// reload changes the settings by SIGHUP.
func (g *gate) reload(more ...string) {
	g.t.Helper()
	g.write(more...)
	g.p.Signal(g.t, syscall.SIGHUP)
	g.ready++
	peers.Await(g.t, "the reload", func() bool { return strings.Count(g.p.Log(), "msg=reloaded because=SIGHUP") == g.ready })
}

// send sends a message of the organization.
func (g *gate) send(to, subject string) { g.sendText(0, "alice@org.example", to, text(subject)) }

func text(subject string) string {
	return "From: alice@org.example\r\nTo: someone\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@org.example>\r\nSubject: " + subject + "\r\n\r\nHello\r\n"
}

// sendText sends a message to a listener: 0 is inside, 1 outside.
func (g *gate) sendText(listener int, from, to, text string) {
	g.t.Helper()
	err := smtpclient.Send(g.t.Context(), g.p.Addrs[listener], nil, &smtpclient.Message{From: from, Recipients: []smtpclient.Recipient{{Addr: to}}, Content: smtpclient.String(text)})
	if err != nil {
		g.t.Fatal(err)
	}
}

// logged waits for a line of the log that has all texts.
func (g *gate) logged(texts ...string) {
	g.t.Helper()
	peers.Await(g.t, strings.Join(texts, ", "), func() bool {
	lines:
		for line := range strings.Lines(g.p.Log()) {
			for _, text := range texts {
				if !strings.Contains(line, text) {
					continue lines
				}
			}
			return true
		}
		return false
	})
}

// dkimKey returns the file of a new Ed25519 key, and the key for d.
func dkimKey(t *testing.T, d string) (file string, key *dkim.Key) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyFile(t, private), &dkim.Key{Domain: d, Selector: "s1", Private: private}
}

// rsaKey does the same for an RSA key.
func rsaKey(t *testing.T, d string) (file string, key *dkim.Key) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return keyFile(t, private), &dkim.Key{Domain: d, Selector: "s1", Private: private}
}

func keyFile(t *testing.T, private crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// record returns the line of a zone file with the key.
func record(t *testing.T, key *dkim.Key) string {
	t.Helper()
	text, err := key.Record()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s. TXT %q\n", key.Name(), text)
}

// portOf returns the port of an address.
func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
