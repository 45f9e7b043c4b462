package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// asRelayctl makes a process of the test binary the command.
const asRelayctl = "TEST_PROCESS_IS_RELAYCTL"

func TestMain(m *testing.M) {
	if os.Getenv(asRelayctl) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// A world is a relay with a spool and a console, the hosts that it sends to, and
// the command as a process. The hosts refuse mail for the domains that are closed,
// for now. No host of gone.example can be reached.
type world struct {
	t     *testing.T
	relay *gateway.Gateway
	queue *queue.Queue
	smtp  string // the address of the relay
	inbox *smtptest.Inbox
	nodes *clustertest.Cluster // that share the store of newCluster

	reputation *policy.Reputation // of the clients
	dir        string

	url, token, tokenFile, socket string

	mu     sync.Mutex      // guards closed
	closed map[string]bool // domains
}

// newWorld starts the relay. All domains are closed. change, if set, changes the
// console.
func newWorld(t *testing.T, change func(*console.Console)) *world {
	t.Helper()
	return newWorldOf(t, nil, change)
}

// newCluster starts the relay as the node a of a cluster. b is silent, and c was
// stopped while it drained.
func newCluster(t *testing.T) *world {
	t.Helper()
	started := time.Now().Add(-time.Hour)
	return newWorldOf(t, clustertest.New(
		queue.Node{Name: "a", State: queue.NodeAlive, This: true, Started: started, Silent: 3 * time.Second, Leased: 5, Info: map[string]string{"version": "v0.1.0", "host": "a.example.com"}},
		queue.Node{Name: "b", State: queue.NodeSilent, Started: started, Silent: 12 * time.Second, Leased: 7},
		queue.Node{Name: "c", State: queue.NodeStopped, Silent: 2 * time.Minute, Draining: queue.Draining{By: "vera", Reason: "a new \x1b disk", Since: started}},
	), nil)
}

func newWorldOf(t *testing.T, nodes *clustertest.Cluster, change func(*console.Console)) *world {
	t.Helper()
	w := &world{reputation: new(policy.Reputation), nodes: nodes, t: t, dir: t.TempDir(), closed: map[string]bool{}}
	host := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{Name: "closed", Rcpt: w.refuse}}})
	w.inbox = host.Inbox
	_, port, _ := net.SplitHostPort(host.Addr)
	dns, err := dnstest.Start("*.example. MX 10 mx.hosts.test.\nmx.hosts.test. A 127.0.0.1\ngone.example. MX 10 mx.gone.test.\nmx.gone.test. A 127.0.0.2\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dns.Close() })
	var number int
	fmt.Sscan(port, &number)
	table, err := routing.NewTable(
		routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: number},
		routing.Connector{Name: "other", RoutedOnly: true, SmartHosts: routing.SmartHosts(host.Addr)},
	)
	if err != nil {
		t.Fatal(err)
	}
	store, err := spool.Open(filepath.Join(w.dir, "spool"), &spool.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	router := &routing.Router{Table: table}
	w.queue = &queue.Queue{Store: store, Deliverer: router}
	if nodes != nil {
		w.queue.Store = struct {
			*spool.Spool
			*clustertest.Cluster
		}{store, nodes}
	}
	srv := &smtpserver.Server{Name: "incoming", ContentFile: store.CreateFile}
	gate := &policy.Gate{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Queue: w.queue, Reputation: w.reputation}
	if err := gate.Install(srv); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.smtp = l.Addr().String()
	w.relay = &gateway.Gateway{
		Hostname:  "relay.example.com",
		Resolver:  &routing.DNSResolver{Servers: []string{dns.Addr}},
		Listeners: []*gateway.Listener{{Server: srv, Socket: l}},
		Queue:     w.queue,
		Tracking:  &tracking.Log{Dir: filepath.Join(w.dir, "tracking")},
		Closers:   []io.Closer{router, store},
	}
	w.serve(change)
	return w
}

// serve runs the relay with its console until the test ends.
func (w *world) serve(change func(*console.Console)) {
	w.t.Helper()
	printed := make(chan string, 1)
	w.socket = filepath.Join(w.dir, "run", "socket")
	c := &console.Console{Gateway: w.relay, Address: "127.0.0.1:0", Socket: w.socket, Print: func(url string) { printed <- url }}
	if change != nil {
		change(c)
	}
	w.relay.Tasks = append(w.relay.Tasks, c.Run)
	w.relay.Parts = append(w.relay.Parts, c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.relay.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	if c.Authorize != nil {
		return
	}
	select {
	case w.url = <-printed:
	case err := <-ended:
		ended <- err
		w.t.Fatal("the relay has ended:", err)
	}
	u, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	w.token = u.Query().Get("token")
	u.RawQuery = ""
	w.url = u.String()
	w.tokenFile = filepath.Join(w.dir, "token")
	if err := os.WriteFile(w.tokenFile, []byte(w.token+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// refuse is the agent of the hosts.
func (w *world) refuse(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
	_, domain, _ := strings.Cut(to, "@")
	w.mu.Lock()
	defer w.mu.Unlock()
	if open, known := w.closed[domain]; known && !open {
		return nil
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "closed for now"}
}

// open opens a domain.
func (w *world) open(domain string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed[domain] = false
}

// send sends a message to the relay by SMTP, waits until the first attempt has
// failed, and returns its ID.
func (w *world) send(from, to, subject string) string {
	w.t.Helper()
	smtptest.Talk(w.t, w.smtp, fmt.Sprintf(`
		S: 220
		C: EHLO client.example
		S: 250 PIPELINING
		C: MAIL FROM:<%s>
		S: 250
		C: RCPT TO:<%s>
		S: 250
		C: DATA
		S: 354
		C: From: <%[1]s>
		C: Subject: %[3]s
		C: Message-ID: <%[4]d@client.example>
		C:
		C: At noon?
		C: .
		S: 250
		C: QUIT
		S: 221`, from, to, subject, time.Now().UnixNano()))
	var id string
	w.until("the first attempt to "+to, func() bool {
		for m, err := range w.queue.Messages(w.t.Context(), queue.Filter{Recipient: to, From: from, Subject: subject}) {
			if err == nil && m.Recipients[0].Attempts > 0 {
				id = m.ID
			}
		}
		return id != ""
	})
	return id
}

// until waits until something is so.
func (w *world) until(what string, so func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not so after a minute: %s", what)
		}
	}
}

// count returns the number of messages that a filter selects.
func (w *world) count(f queue.Filter) (n int) {
	w.t.Helper()
	for _, err := range w.queue.Messages(w.t.Context(), f) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}

// A result is what a process has done.
type result struct {
	t        *testing.T
	command  string
	status   int
	out, err string
}

// do runs relayctl with the URL and the token file of the relay, in this process: a
// process of its own takes much longer under the race detector. See runProcess.
func (w *world) do(args ...string) *result {
	w.t.Helper()
	env := map[string]string{"RELAYCTL_URL": w.url, "RELAYCTL_TOKEN_FILE": w.tokenFile}
	var out, errors_ bytes.Buffer
	status := run(w.t.Context(), args, &terminal{in: strings.NewReader(""), out: &out, err: &errors_}, func(name string) string { return env[name] })
	return &result{w.t, strings.Join(args, " "), status, out.String(), errors_.String()}
}

// runProcess runs relayctl with an environment of its own.
func runProcess(t *testing.T, env []string, args ...string) *result {
	t.Helper()
	cmd := process(t, env, args...)
	var out, errors_ bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors_
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return &result{t, strings.Join(args, " "), cmd.ProcessState.ExitCode(), out.String(), errors_.String()}
}

func process(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append([]string{asRelayctl + "=1", "GOCOVERDIR=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// want checks the exit status, and that the output or the errors have the texts.
func (r *result) want(status int, texts ...string) *result {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: exit status %d, want %d\n%s%s", r.command, r.status, status, r.out, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.out+r.err, text) {
			r.t.Errorf("%s: %q is missing in\n%s%s", r.command, text, r.out, r.err)
		}
	}
	return r
}

// json reads the lines of the output as JSON documents, and returns the last.
func (r *result) json() map[string]any {
	r.t.Helper()
	var last map[string]any
	for line := range strings.Lines(r.out) {
		last = nil
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			r.t.Fatalf("%s: %v in\n%s", r.command, err, r.out)
		}
	}
	if last == nil {
		r.t.Fatalf("%s: no JSON", r.command)
	}
	return last
}
