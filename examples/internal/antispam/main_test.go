package antispam

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const asMain = "ANTISPAM_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" { // this test program as the command
		testGateway().Main()
	}
	goleak.VerifyTestMain(m)
}

// testGateway is a program with the filters and little else.
func testGateway() *program.Program {
	return &program.Program{Name: "mx", New: func() program.Gateway { return new(mx) }, ReadFile: readLines}
}

// An mx accepts mail from the internet for example.com, and mail of the organization for
// everyone, and sends all of it to one server.
type mx struct {
	internet, organization, server string
	filters                        Filters
}

func (x *mx) Define(f *flag.FlagSet) {
	f.StringVar(&x.internet, "listen", "127.0.0.1:0", "`address` for the internet")
	f.StringVar(&x.organization, "organization", "127.0.0.1:0", "`address` for the organization")
	f.StringVar(&x.server, "server", "192.0.2.1", "`host` that gets the mail")
	f.Var(&x.filters.Internal, "internal", "`networks` of relays that forward mail from outside")
	x.filters.Define(f, "filters.")
}

func (x *mx) Build(k *program.Kit) program.Rules {
	domains := []policy.Domain{{Name: "example.com"}}
	internet := &policy.Gate{Domains: domains, Recipients: &policy.RecipientFilter{Addresses: []string{"nobody@example.com"}}}
	organization := &policy.Gate{Domains: domains, Networks: program.Networks{netip.MustParsePrefix("127.0.0.0/8")}}
	srv, own := k.Server("internet"), k.Server("organization")
	var r program.Rules
	x.filters.Add(k, internet, &r)
	x.filters.AddRules(k, organization)
	k.Install("listen", internet, srv)
	k.Install("organization", organization, own)
	r.Receive = []program.Receive{{Server: srv, Address: x.internet}, {Server: own, Address: x.organization, Setting: "organization"}}
	r.Table = k.Table(domains, nil, routing.Connector{Name: "server", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(x.server)})
	r.Domains = domains
	return r
}

// readLines reads lines of the form "name: value" or "name: value | value".
func readLines(path string, text []byte) (all []program.Setting, err error) {
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		one := program.Setting{Name: name, Sequence: strings.Contains(value, " | "), Line: n}
		for text := range strings.SplitSeq(strings.TrimPrefix(value, " "), " | ") {
			one.Values = append(one.Values, program.Value{Text: text, Line: n})
		}
		all = append(all, one)
	}
	return all, nil
}

// A world is a running mx, and the server that gets its mail.
type world struct {
	*peers.Process
	t      *testing.T
	config string
	server *smtptest.Server
}

func newWorld(t *testing.T, settings ...string) *world {
	t.Helper()
	w := &world{t: t, server: smtptest.NewServer(t, nil), config: peers.File(t, "")}
	w.configure(settings...)
	w.start()
	return w
}

func (w *world) start() {
	w.t.Helper()
	w.Process = peers.StartSelf(w.t, asMain, 2, "-config", w.config)
}

func (w *world) configure(settings ...string) {
	w.t.Helper()
	lines := append([]string{"hostname: mx.example.com", "server: " + w.server.Addr, "spool: " + w.spool()}, settings...)
	if err := os.WriteFile(w.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) spool() string { return filepath.Join(filepath.Dir(w.config), "spool") }

// reload changes the settings.
func (w *world) reload(settings ...string) {
	w.t.Helper()
	const line = "msg=reloaded"
	before := strings.Count(w.Log(), line)
	w.configure(settings...)
	w.hup()
	peers.Await(w.t, "the reload", func() bool { return strings.Count(w.Log(), line) > before })
}

func (w *world) hup() {
	w.t.Helper()
	w.Signal(w.t, syscall.SIGHUP)
}

// mail sends a message from the internet and wants a reply to its end.
func (w *world) mail(message, want string) {
	w.t.Helper()
	w.talk(w.Addrs[0], "a@example.net", "b@example.com", "C: DATA\nS: 354\n"+lines(message)+"C: .\nS: "+want)
}

// delivered sends a message from the internet, and returns it as the server receives it.
func (w *world) delivered(message string) *smtptest.Message {
	w.t.Helper()
	w.mail(message, "250")
	return w.server.Inbox.Next(w.t)
}

// rcpt begins a message from the internet, and wants a reply to RCPT.
func (w *world) rcpt(from, to, want string) {
	w.t.Helper()
	smtptest.Talk(w.t, w.Addrs[0], fmt.Sprintf("S: 220\nC: HELO client.example.net\nS: 250\nC: MAIL FROM:<%s>\nS: 250\nC: RCPT TO:<%s>\nS: %s\nC: QUIT\nS: 221", from, to, want))
}

// sender wants a reply to MAIL.
func (w *world) sender(want string) {
	w.t.Helper()
	smtptest.Talk(w.t, w.Addrs[0], "S: 220\nC: HELO client.example.net\nS: 250\nC: MAIL FROM:<a@example.net>\nS: "+want+"\nC: QUIT\nS: 221")
}

// talk begins a message, and runs the rest of a script.
func (w *world) talk(addr, from, to, rest string) {
	w.t.Helper()
	smtptest.Talk(w.t, addr, fmt.Sprintf("S: 220\nC: HELO client.example.net\nS: 250\nC: MAIL FROM:<%s>\nS: 250\nC: RCPT TO:<%s>\nS: 250\n%s\nC: QUIT\nS: 221", from, to, rest))
}

// lines returns the steps of a script that send a message.
func lines(message string) string {
	var b strings.Builder
	for line := range strings.Lines(message) {
		b.WriteString("C: " + strings.TrimRight(line, "\r\n") + "\n")
	}
	return b.String()
}

// want reports that a text does not contain another one.
func want(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

const hello = "From: a@example.net\nTo: b@example.com\nSubject: hello\nDate: Sat, 21 Nov 2026 20:41:31 +0000\nMessage-ID: <1@example.net>\n\nNothing to see.\n"
