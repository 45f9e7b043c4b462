package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) {
	if os.Getenv("CUSTOMER_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// Content that a faulty relay would change.
const letter = `From: carol@example.net
To: alice@branch.example
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
X-Folded: one
	two   three  

.
..two dots, and blanks at the end:   
8 bit: Grüße

From here on
`

// world is a provider, the mail servers of a customer and of the internet, and
// the DNS.
type world struct {
	t                *testing.T
	server, internet *peers.Postfix
	dns              *dnstest.Server
	provider         string // its address
	roots            string
	program          string
	args             []string
	password         string
	listen           string // of the customer, for ETRN
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, provider: peers.FreeAddr(t), listen: peers.FreeAddr(t), password: peers.File(t, "sesame-4711\n")}
	w.server = &peers.Postfix{Domains: "branch.example shop.example",
		Main: "smtpd_recipient_restrictions = check_recipient_access inline:{unknown@branch.example=REJECT}\n"}
	w.internet = &peers.Postfix{Domains: "example.net"}
	peers.StartPostfixes(t, w.server, w.internet)
	w.dns = dnstest.New(t, `
		branch.example.        MX 10 mail.provider.example.
		shop.example.          MX 10 mail.provider.example.
		example.net.           MX 10 mx.example.net.
		mail.provider.example. A 127.0.0.1
		mx.example.net.        A 127.0.0.1
	`)
	c := smtptest.Certificate(t, "mail.provider.example")
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	w.roots = peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	w.program = peers.Build(t, "../provider")
	w.args = []string{"-listen", w.provider, "-cert", w.roots,
		"-key", peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
		"-customers", peers.File(t, "branch sesame-4711 branch.example\nshop sesame-4711 shop.example 127.0.0.1:"+port(w.listen)+"\n"),
		"-hostname", "mail.provider.example", "-spool", t.TempDir(), "-dns", w.dns.Addr, "-port", port(w.internet.Addr)}
	return w
}

func (w *world) startProvider() *peers.Process {
	w.t.Helper()
	return peers.Start(w.t, w.program, 1, w.args...)
}

// start runs the customer's relay; n is how many addresses it listens on.
func (w *world) start(account string, n int, more ...string) *peers.Process {
	w.t.Helper()
	return peers.StartSelf(w.t, "CUSTOMER_MAIN", n, append([]string{"-spool", w.t.TempDir(), "-provider", "mail.provider.example:" + port(w.provider),
		"-user", account, "-password-file", w.password, "-roots", w.roots, "-domains", account + ".example", "-server", w.server.Addr,
		"-every", "1s", "-hostname", "relay." + account + ".example", "-dns", w.dns.Addr}, more...)...)
}

func (w *world) send(to string) {
	w.t.Helper()
	out, err := peers.Swaks(w.t, "--server", w.provider, "--from", "carol@example.net", "--to", to,
		"--data", "@"+peers.File(w.t, strings.TrimSuffix(letter, "\n"))) // swaks ends the last line itself
	if err != nil {
		w.t.Fatalf("swaks: %v\n%s", err, out)
	}
}

// The customer and the provider, each as a process.
func TestWithProvider(t *testing.T) {
	w := newWorld(t)
	for _, one := range []struct {
		name string
		test func(*world)
	}{
		{"ATRN and ETRN", (*world).mailIsFetched}, {"TURN", (*world).mailIsFetchedByTURN},
		{"sent on demand", (*world).mailIsSentOnDemand}, {"fetched after a reload", (*world).mailIsFetchedAfterReload},
		{"fetched on demand", (*world).mailIsFetchedOnDemand}, // with a wrong password at the end
	} {
		t.Run(one.name, func(t *testing.T) {
			w.t = t
			one.test(w)
		})
	}
}

// The hosts of the office send mail to the internet through the provider, on demand.
// The connection that has sent it also requests the mail that waits there.
func (w *world) mailIsSentOnDemand() {
	t, p := w.t, w.startProvider()
	args := []string{"-spool", t.TempDir(), "-method", "none", "-listen", w.listen, "-allow", "127.0.0.1", "-send-schedule", "on-demand", "-etrn-after-send"}
	c := w.start("shop", 1, args...)
	w.send("alice@shop.example")
	submit := func(from, to string) {
		t.Helper()
		if out, err := peers.Swaks(t, "--server", w.listen, "--from", from, "--to", to); err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
	}
	submit("alice@shop.example", "carol@example.net")
	submit("alice@shop.example", "bob@shop.example") // not held
	if m := w.server.Next(t); !strings.Contains(m, "X-Original-To: bob@shop.example") {
		t.Errorf("the mail server received\n%s", m)
	}
	if log := w.internet.Log(t) + p.Log(); strings.Contains(log, "from=alice@shop.example") {
		t.Errorf("mail was sent before it was requested:\n%s", log)
	}
	c.Signal(t, syscall.SIGUSR1)
	if m := w.internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net") || !strings.Contains(m, "by mail.provider.example") ||
		!strings.Contains(m, "by relay.shop.example") {
		t.Errorf("the internet received\n%s", m)
	}
	if m := w.server.Next(t); !strings.Contains(m, "X-Original-To: alice@shop.example") || !strings.HasSuffix(m, "\n"+letter) {
		t.Errorf("the mail server received\n%s", m)
	}
	c.Stop(t)

	// A start is no demand, unless it has -retry-now.
	c = w.start("shop", 1, args...)
	submit("alice@shop.example", "carol@example.net")
	c.Stop(t)
	if log := c.Log(); strings.Contains(log, "queue: delivered") {
		t.Errorf("mail was sent without a demand:\n%s", log)
	}
	c = w.start("shop", 1, append(args, "-retry-now")...)
	if m := w.internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net") {
		t.Errorf("the internet received\n%s", m)
	}
	c.Stop(t)
	p.Stop(t)
}

// With -schedule on-demand, mail is fetched after SIGUSR1 only.
func (w *world) mailIsFetchedOnDemand() {
	t, p := w.t, w.startProvider()
	c := w.start("branch", 0, "-schedule", "on-demand")
	w.send("alice@branch.example")
	c.Signal(t, syscall.SIGUSR1)
	if m := w.server.Next(t); !strings.Contains(m, "X-Original-To: alice@branch.example") {
		t.Errorf("the mail server received\n%s", m)
	}
	fetched := `msg="the line is up: requested mail" method=ATRN messages=1 err=<nil>`
	peers.Await(t, fetched, func() bool { return strings.Contains(c.Log(), fetched) })
	if strings.Contains(c.Log(), `msg="requested mail"`) {
		t.Errorf("mail was requested on a schedule:\n%s", c.Log())
	}

	// The next request uses the password that is in the file after a reload.
	if err := os.WriteFile(w.password, []byte("guessed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Signal(t, syscall.SIGHUP)
	peers.Await(t, "a reload", func() bool { return strings.Contains(c.Log(), "msg=reloaded") })
	c.Signal(t, syscall.SIGUSR1)
	peers.Await(t, "a refused login", func() bool { return strings.Contains(c.Log(), "535") })
	c.Stop(t)
	p.Stop(t)
}

// A reload replaces the server of the listener. Mail that is fetched by ATRN still comes.
func (w *world) mailIsFetchedAfterReload() {
	t, p := w.t, w.startProvider()
	c := w.start("branch", 1, "-schedule", "on-demand", "-listen", w.listen, "-allow", "127.0.0.1")
	for n := range 2 {
		c.Signal(t, syscall.SIGHUP)
		peers.Await(t, "a reload", func() bool { return strings.Count(c.Log(), "msg=reloaded") == n+1 })
		w.send("alice@branch.example")
		c.Signal(t, syscall.SIGUSR1)
		if m := w.server.Next(t); !strings.Contains(m, "X-Original-To: alice@branch.example") {
			t.Errorf("the mail server received\n%s", m)
		}
	}
	c.Stop(t)
	p.Stop(t)
}

// A customer with an old Exchange fetches by TURN: all its mail, over its own
// connection.
func (w *world) mailIsFetchedByTURN() {
	t, p := w.t, w.startProvider()
	w.send("alice@branch.example")
	w.send("alice@shop.example") // of another customer: it stays
	c := w.start("branch", 0, "-method", "turn")
	if m := w.server.Next(t); !strings.Contains(m, "X-Original-To: alice@branch.example") || !strings.HasSuffix(m, "\n"+letter) {
		t.Errorf("the mail server received\n%s", m)
	}
	fetched := "method=TURN messages=1 err=<nil>"
	peers.Await(t, fetched, func() bool { return strings.Contains(c.Log(), fetched) })
	c.Stop(t)

	c = w.start("shop", 0, "-method", "turn")
	if m := w.server.Next(t); !strings.Contains(m, "X-Original-To: alice@shop.example") {
		t.Errorf("the mail server received\n%s", m)
	}
	c.Stop(t)
	p.Stop(t)
}

// One customer fetches its mail by ATRN, another by ETRN.
func (w *world) mailIsFetched() {
	t, p := w.t, w.startProvider()
	const n = 20
	source := exec.Command(peers.Need(t, "smtp-source"), "-m", fmt.Sprint(n), "-s", "4", "-f", "carol@example.net", "-t", "bob@branch.example", w.provider)
	if out, err := source.CombinedOutput(); err != nil {
		t.Fatalf("smtp-source: %v\n%s", err, out)
	}
	w.send("alice@branch.example")
	w.send("alice@shop.example")
	p.Kill() // as in a power cut
	p = w.startProvider()
	if !strings.Contains(p.Log(), "messages=22 recipients=22") {
		t.Errorf("%d messages were accepted:\n%s", n+2, p.Log())
	}
	if log := w.server.Log(t); strings.Contains(log, "carol@example.net") {
		t.Errorf("mail came before it was requested:\n%s", log)
	}
	w.byATRN(n)
	w.byETRN()
	p.Stop(t)
}

// byATRN: the mail comes over the connection that the customer has opened. The
// customer has no listener.
func (w *world) byATRN(n int) {
	t := w.t
	c := w.start("branch", 0)
	alice := 0
	for range n + 1 {
		m := w.server.Next(t)
		if !strings.Contains(m, "X-Original-To: alice@branch.example") {
			continue
		}
		if alice++; !strings.HasSuffix(m, "\n"+letter) || !strings.Contains(m, "by mail.provider.example") || !strings.Contains(m, "by relay.branch.example") {
			t.Errorf("the mail server received\n%q", m)
		}
	}
	if alice != 1 {
		t.Errorf("%d letters to alice", alice)
	}

	// The log has the number of messages of each fetch.
	fetched := fmt.Sprintf(`msg="requested mail" provider=mail.provider.example:%s method=ATRN messages=%d err=<nil>`, port(w.provider), n+1)
	peers.Await(t, fetched, func() bool { return strings.Contains(c.Log(), fetched) }) // after the last message

	// The next fetch works too. An unknown mailbox is reported to the sender
	// through the provider.
	w.send("unknown@branch.example")
	report := w.internet.Next(t)
	for _, want := range []string{"X-Original-To: carol@example.net", "by mail.provider.example", "From: ", "postmaster@branch.example",
		"Final-Recipient: rfc822; unknown@branch.example", "Action: failed"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in the report:\n%s", want, report)
		}
	}
	c.Stop(t)
}

// byETRN: the provider connects to the customer.
func (w *world) byETRN() {
	t := w.t
	c := w.start("shop", 1, "-method", "etrn", "-listen", w.listen)
	if m := w.server.Next(t); !strings.Contains(m, "X-Original-To: alice@shop.example") || !strings.HasSuffix(m, "\n"+letter) ||
		!strings.Contains(m, "by relay.shop.example") {
		t.Errorf("the mail server received\n%q", m)
	}
	c.Stop(t)
}

func good(t *testing.T) map[string]string {
	return map[string]string{"provider": "mail.provider.example", "user": "branch", "password-file": peers.File(t, "sesame-4711\n"),
		"domains": "branch.example", "server": "10.0.0.5", "every": "1m", "hostname": "relay.branch.example", "spool": t.TempDir()}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for want, change := range map[string][2]string{
		"-provider: is required":             {"provider", ""},
		`-provider: "192.0.2.1:smtp":`:       {"provider", "192.0.2.1:smtp"},
		"-user: is required":                 {"user", ""},
		"-domains: is required":              {"domains", ""},
		`-domains: accepted domain "*"`:      {"domains", "*"},
		"-server: is required":               {"server", ""},
		`-server: "no host" is not one host`: {"server", "no host"},
		"-spool: is required":                {"spool", ""},
		"-every: 1ms":                        {"every", "1ms"},
		`-method: "uucp" is not atrn`:        {"method", "uucp"},
		"required with -allow":               {"allow", "10.0.0.0/24"},
		"with -etrn-after-send":              {"etrn-after-send", "true"},
		`-send-schedule: schedule`:           {"send-schedule", "Someday"},
		"-listen: is required with":          {"method", "etrn"},
		`schedule: "Someday 8:00-9:00"`:      {"schedule", "Someday 8:00-9:00"},
		"-password-file: open":               {"password-file", "/nowhere/at/all"},
		"the first line is empty":            {"password-file", peers.File(t, "\nsesame-4711\n")},
		"-roots: open":                       {"roots", "/nowhere/at/all"},
		"-roots: no certificate":             {"roots", "relay.go"},
	} {
		settings := good(t)
		settings[change[0]] = change[1]
		if _, err := assemble(settings); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: error %v, want one with %q", change, err, want)
		}
	}
}

// A warning about the certificate names the setting, once for all servers that have it.
func TestCertificateWarning(t *testing.T) {
	c := smtptest.Certificate(t, "other.example")
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	settings := good(t)
	settings["listen"] = "127.0.0.1:2525"
	settings["cert"] = peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	settings["key"] = peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	args := []string{"-check"}
	for name, value := range settings {
		args = append(args, "-"+name+"="+value)
	}
	p := program.Program{Name: "customer", New: func() program.Gateway { return &customer{kept: new(kept)} }}
	var out, errs strings.Builder
	p.Run(args, &out, &errs)
	if got := out.String(); errs.Len() > 0 || strings.Count(got, "warning: ") != 1 || !strings.HasPrefix(got, "warning: cert: no certificate is for the hostname ") {
		t.Errorf("%s%s", got, errs.String())
	}
}
