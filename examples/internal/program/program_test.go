package program

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) {
	if os.Getenv("PROGRAM_MAIN") != "" { // this test program as the command
		(&Program{Name: "office", New: func() Gateway { return new(office) }, ReadFile: readLines}).Main()
	}
	goleak.VerifyTestMain(m)
}

// An office accepts mail for its domains, and sends it to its server.
type office struct {
	listen, server, domains string
	recipients              string
	printers                Networks // have a connector of their own, for all recipients
}

func (o *office) Define(f *flag.FlagSet) {
	f.StringVar(&o.listen, "listen", ":25", "`address` to listen on")
	f.StringVar(&o.server, "server", "", "`host` that takes the mail")
	f.StringVar(&o.domains, "domains", "", "`file` with the domains")
	f.Var(&o.printers, "printers", "`networks` of clients that may send to all")
	f.StringVar(&o.recipients, "recipients", "", "`file` with the recipients; default: all")
}

func (o *office) Build(k *Kit) Rules {
	k.RequireHost("server", o.server)
	k.Require("domains", o.domains != "")
	srv, gate := k.Server("office"), &policy.Gate{}
	directory := k.Recipients("recipients", o.recipients)
	for line := range strings.Lines(string(k.ReadFile("domains", o.domains))) {
		if line = strings.TrimSpace(line); strings.Contains(line, " ") {
			k.Fault("domains", errors.New("a line has more than one domain"))
			continue
		}
		gate.Domains = append(gate.Domains, policy.Domain{Name: line, Directory: directory})
	}
	k.Require("domains", len(gate.Domains) > 0)
	table := k.Table(gate.Domains, k.Listen("listen", o.listen), routing.Connector{Name: "office", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(o.server)})
	k.Install("domains", gate, srv)
	receive := []Receive{{Server: srv, Address: o.listen}}
	if len(o.printers) > 0 {
		printers := k.Server("printers")
		k.Install("printers", &policy.Gate{Networks: o.printers}, printers)
		receive = append(receive, Receive{Server: printers, Address: o.listen, RemoteNetworks: o.printers, NetworkSetting: "printers"})
	}
	calls := Keep[int](k, "calls")
	*calls++
	n := *calls
	return Rules{Receive: receive, Table: table, Domains: gate.Domains,
		Applied: []func(){func() { k.Logger.Info("applied", "kept", n) }}}
}

// readLines reads lines of the form "name: value value".
func readLines(path string, text []byte) (all []Setting, err error) {
	n := 0
	for line := range strings.Lines(string(text)) {
		name, values, _ := strings.Cut(line, ":")
		n++
		one := Setting{Name: name, Line: n}
		for _, v := range strings.Fields(values) {
			one.Values = append(one.Values, Value{Text: v, Line: n})
		}
		all = append(all, one)
	}
	return all, nil
}

// A world is a running office.
type world struct {
	t                       *testing.T
	config, domains, listen string
	metrics                 string
	server                  *smtptest.Server
	p                       *peers.Process
}

func newWorld(t *testing.T, more ...string) *world { return newWorldOf(t, 1, more...) }

// newWorldOf starts an office with n receive connectors.
func newWorldOf(t *testing.T, n int, more ...string) *world {
	server := smtptest.NewServer(t, nil) // first: it could get a free address that is not in use yet
	w := &world{t: t, listen: peers.FreeAddr(t), metrics: peers.FreeAddr(t), server: server, domains: peers.File(t, "example.com\n")}
	w.config = peers.File(t, "")
	w.configure("relay.example.com", more...)
	w.p = peers.StartSelf(t, "PROGRAM_MAIN", n, "-config", w.config)
	w.logged("msg=metrics")
	peers.Await(t, "ready", func() bool {
		defer http.DefaultClient.CloseIdleConnections()
		answer, err := http.Get("http://" + w.metrics + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return w
}

// configure writes the configuration file.
func (w *world) configure(hostname string, more ...string) {
	w.t.Helper()
	lines := append([]string{"hostname: " + hostname, "listen: " + w.listen, "server: " + w.server.Addr, "domains: " + w.domains,
		"metrics: " + w.metrics, "spool: " + filepath.Join(filepath.Dir(w.config), "spool")}, more...)
	w.write(w.config, strings.Join(lines, "\n")+"\n")
}

func (w *world) write(path, text string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// logged waits for a line of the log.
func (w *world) logged(want string) {
	w.t.Helper()
	peers.Await(w.t, want, func() bool { return strings.Contains(w.p.Log(), want) })
}

// reload sends SIGHUP and waits until the gateway has read the settings, valid or not.
func (w *world) reload() {
	w.t.Helper()
	read := func() int { return strings.Count(w.p.Log(), "because=SIGHUP") }
	before := read()
	w.p.Signal(w.t, syscall.SIGHUP)
	peers.Await(w.t, "the reload", func() bool { return read() > before })
}

// health returns the detail of the check "settings".
func (w *world) health() string {
	w.t.Helper()
	answer, err := http.Get("http://" + w.metrics + "/readyz")
	if err != nil {
		w.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer answer.Body.Close()
	var h struct {
		OK     bool
		Checks []struct{ Name, Detail string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&h); err != nil || !h.OK {
		w.t.Errorf("%v, %+v", err, h)
	}
	for _, c := range h.Checks {
		if c.Name == "settings" {
			return c.Detail
		}
	}
	w.t.Errorf("no check of the settings: %+v", h)
	return ""
}

// send sends a message in a new session and wants a reply to RCPT.
func (w *world) send(to, want string) {
	w.t.Helper()
	smtptest.Talk(w.t, w.listen, fmt.Sprintf("S: 220\nC: HELO client.test\nS: 250\nC: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<%s>\nS: %s\nC: QUIT\nS: 221", to, want))
}

// SIGHUP changes the rules of new sessions, and a session in the middle of DATA
// continues.
func TestReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn, err := net.Dial("tcp", w.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	smtptest.TalkOn(t, conn, `
		S: 220
		C: HELO client.test
		S: 250
		C: MAIL FROM:<a@example.net>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: before
	`)
	w.send("b@example.org", "550")
	w.write(w.domains, "example.com\nexample.org\n")
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("msg=reloaded because=SIGHUP")
	smtptest.TalkOn(t, conn, `
		C:
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	w.send("b@example.org", "250")
	if m := w.server.Inbox.Next(t); !strings.Contains(m.Text, "Subject: before") {
		t.Errorf("the server received\n%s", m.Text)
	}
	if strings.Contains(w.p.Log(), "level=DEBUG") {
		t.Error("the log has lines of the level DEBUG, and -log-level is INFO")
	}
	w.configure("relay.example.com", "log-level: DEBUG")
	w.p.Signal(t, syscall.SIGHUP)
	peers.Await(t, "the second reload", func() bool { return strings.Count(w.p.Log(), "msg=reloaded") == 2 })
	w.send("b@example.org", "250")
	w.logged("level=DEBUG")

	answer, err := http.Get("http://" + w.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), "\nbridgehead_queue_attempts_total{") {
		t.Errorf("the metrics: %s, %v\n%s", answer.Status, err, text)
	}
	w.p.Stop(t)
}

// A file that becomes invalid changes nothing. The log, and the health that the
// console shows, name the setting. When the file is right again, it is read.
func TestInvalidFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.health(); got != "" {
		t.Errorf("the settings: %s", got)
	}
	for _, text := range []string{"example.com example.org\n", ""} {
		w.write(w.domains, text)
		w.reload()
		peers.Await(t, "the failure in the health", func() bool { return strings.Contains(w.health(), "wrong: domains ("+w.domains+")") })
		w.send("b@example.com", "250")
	}
	if err := os.Remove(w.domains); err != nil {
		t.Fatal(err)
	}
	w.reload()
	w.logged("no such file")
	w.send("b@example.com", "250")
	w.write(w.domains, "\ufeffexample.org\r\n") // by Notepad
	w.logged(`msg=reloaded because="a file has changed"`)
	w.send("b@example.org", "250")
	if got := w.health(); got != "" {
		t.Errorf("the settings after the reload: %s", got)
	}
	w.p.Stop(t)
}

// A list of recipients that becomes invalid stays in use as it was, also without
// SIGHUP. The log and the health name the file.
func TestInvalidRecipients(t *testing.T) {
	t.Parallel()
	recipients := peers.File(t, "alice\n")
	w := newWorld(t, "recipients: "+recipients)
	w.send("alice@example.com", "250")
	w.write(recipients, "alice\nBob Smith <bob@example.com>\n")
	old := time.Now().Add(-time.Minute) // it is not being written
	if err := os.Chtimes(recipients, old, old); err != nil {
		t.Fatal(err)
	}
	peers.Await(t, "the file in the health", func() bool {
		w.send("alice@example.com", "250")
		w.send("bob@example.com", "550 5.1.1")
		return strings.Contains(w.health(), "-recipients: the file "+recipients+" is not valid, the previous list stays in use")
	})
	w.logged("file=" + recipients)
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("not reloaded")
	w.write(recipients, "\ufeffbob\r\n")
	w.p.Signal(t, syscall.SIGHUP)
	peers.Await(t, "the file without a fault", func() bool { return w.health() == "" })
	w.send("bob@example.com", "250")
	w.p.Stop(t)
}

// What a running gateway cannot change is an error with its line.
func TestReloadOfFixedSetting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure("other.example.com")
	w.p.Signal(t, syscall.SIGHUP)
	w.logged(w.config + ":1: hostname: cannot change without a restart")
	w.listen = "127.0.0.1:9"
	w.configure("relay.example.com")
	w.p.Signal(t, syscall.SIGHUP)
	w.logged(w.config + ":2: listen: cannot change without a restart")
	w.p.Stop(t)
}

// Wrong settings are reported together, each with its line or its flag.
func TestWrongSettings(t *testing.T) {
	config := peers.File(t, "listen: 127.0.0.1:x\nserver:\nmax-size: 3elephants\ndomians: x\nmax-size: 3M\nrate: 1 2\nretry-now: true\nhostname: a..b\n")
	got := peers.RefuseSelf(t, "PROGRAM_MAIN", "-config", config, "-check", "-cert", "x.pem")
	for _, want := range []string{`:1: listen: "127.0.0.1:x"`, ":2: server: has no value", `:3: max-size: "3elephants" is not a size`, ":4: domians: is not a setting",
		":5: max-size: is set twice, also in line 3", ":6: rate: has more than one value", ":7: retry-now: is not a setting", `:8: hostname: "a..b" is not a host name`,
		"-spool: is required", "-domains: is required", "-cert: -cert and -key are required together"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// -check reports what is probably wrong, and settings on the command line have
// priority.
func TestCheck(t *testing.T) {
	config := peers.File(t, "listen: 127.0.0.1:0\nserver: 192.0.2.1\ndomains: "+peers.File(t, "example.com\n")+"\nhostname: relay.example.com\nspool: /nowhere\n")
	p := Program{Name: "office", New: func() Gateway { return new(office) }, ReadFile: readLines}
	var out, errs strings.Builder
	if status := p.Run([]string{"-config", config, "-check"}, &out, &errs); status != 0 || !strings.Contains(out.String(), "warning: -listen 127.0.0.1:0: with port 0") ||
		!strings.Contains(out.String(), "the settings are valid") {
		t.Errorf("status %d\n%s%s", status, out.String(), errs.String())
	}
	if status := p.Run([]string{"-config", config, "-check", "-console", ":8025"}, &out, &errs); status != 2 || !strings.Contains(errs.String(), "-console: Address: :8025 can be reached from other hosts") {
		t.Errorf("status %d\n%s%s", status, out.String(), errs.String())
	}
	utf16 := peers.File(t, "\xff\xfee\x00x\x00\n\x00")
	// One error for a file that cannot be parsed, and for a name that all parts have.
	broken := p
	broken.ReadFile = func(path string, _ []byte) ([]Setting, error) {
		return nil, errors.New(path + ":1: the file has a fault")
	}
	for _, c := range []struct {
		program Program
		args    []string
		want    string
	}{
		{p, []string{"-config", "/nowhere/at/all"}, "-config: open /nowhere/at/all: no such file or directory"},
		{broken, []string{"-config", config}, config + ":1: the file has a fault"},
		{p, []string{"-config", config, "-domains", utf16}, "-domains: " + utf16 + ": is in UTF-16: save it in UTF-8"},
		{p, []string{"-config", config, "-hostname", "bücher.example"}, `-hostname: "bücher.example" is not a host name`},
		{p, []string{"-config", config, "-hostname", "relay_1.example.com"}, `-hostname: "relay_1.example.com" is not a host name`},
	} {
		var out, errs strings.Builder
		if status := c.program.Run(append(c.args, "-check"), &out, &errs); status != 2 || errs.String() != c.want+"\n" {
			t.Errorf("%s: status %d\n%s%swant %s", c.args, status, out.String(), errs.String(), c.want)
		}
	}
	if status := p.Run([]string{"-config", config, "-check", "-hostname", "10.0.0.1"}, &out, &errs); status != 2 || !strings.Contains(errs.String(), `-hostname: "10.0.0.1" is not a host name`) {
		t.Errorf("status %d\n%s%s", status, out.String(), errs.String())
	}
}

// A message that waits for its next attempt is tried at a start with -retry-now.
func TestRetryNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.p.Stop(t)
	spool := filepath.Join(t.TempDir(), "spool")
	args := []string{"-listen", w.listen, "-domains", w.domains, "-hostname", "relay.example.com", "-spool", spool}
	p := peers.StartSelf(t, "PROGRAM_MAIN", 1, append(args, "-server", "127.0.0.1:9")...)
	smtptest.Talk(t, w.listen, "S: 220\nC: HELO c.test\nS: 250\nC: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: waits\nC:\nC: .\nS: 250\nC: QUIT\nS: 221")
	peers.Await(t, "a failed attempt", func() bool { return strings.Contains(p.Log(), `msg="queue: deferred"`) })
	p.Stop(t)
	p = peers.StartSelf(t, "PROGRAM_MAIN", 1, append(args, "-server", w.server.Addr, "-retry-now")...)
	if m := w.server.Inbox.Next(t); !strings.Contains(m.Text, "Subject: waits") {
		t.Errorf("the server received\n%s", m.Text)
	}
	p.Stop(t)
}

// Files in the folders of -pickup and -replay are sent: the envelope of the first is in To
// and Cc, that of the second in the fields of an export.
func TestPickup(t *testing.T) {
	t.Parallel()
	pickup, replay := t.TempDir(), t.TempDir()
	w := newWorld(t, "pickup: "+pickup, "replay: "+replay)
	put := func(folder, text string) {
		t.Helper()
		file := filepath.Join(folder, "x.tmp")
		w.write(file, text)
		if err := os.Rename(file, filepath.Join(folder, "x.eml")); err != nil {
			t.Fatal(err)
		}
	}
	put(pickup, "From: a@example.com\nTo: b@example.com\nSubject: from a file\n\nhello\n")
	put(replay, "X-Sender: <a@example.com>\r\nX-Receiver: <c@example.com>\r\nX-EndOfInjectedXHeaders: 1\r\n"+
		"From: a@example.com\r\nTo: b@example.com\r\nSubject: exported\r\n\r\nhello\r\n")
	subjects := map[string]string{"b@example.com": "Subject: from a file", "c@example.com": "Subject: exported"}
	for range 2 {
		m := w.server.Inbox.Next(t)
		to := strings.Join(m.To(), " ")
		if want, ok := subjects[to]; !ok || !strings.Contains(m.Text, want) {
			t.Errorf("the server received for %q\n%s", to, m.Text)
		}
		delete(subjects, to)
	}
	w.p.Stop(t)
	logs, err := filepath.Glob(filepath.Join(filepath.Dir(w.config), "spool", "logs", "tracking", "MSGTRK*.log"))
	if err != nil || len(logs) != 1 {
		t.Errorf("%v, %v", logs, err)
	}
}

// What Build keeps is there at the next reload. Rules are told when they are in use, and
// those with a fault never are.
func TestKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.logged("msg=applied kept=1")
	w.write(w.domains, "example.com example.org\n")
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("a line has more than one domain")
	w.write(w.domains, "example.com\n")
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("msg=reloaded")
	if log := w.p.Log(); strings.Count(log, "msg=applied") != 2 || !strings.Contains(log, "msg=applied kept=2") {
		t.Error("the rules were not applied twice, or what they keep was lost")
	}
	w.p.Stop(t)
}
