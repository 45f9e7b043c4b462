package gateway_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/milter"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/filter/scan"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/arc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/policy/trace/pipetrace"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/pickup"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Every part that has no Hostname and no Logger gets those of the Gateway.
func TestPartsInherit(t *testing.T) {
	var log syncBuffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	dir := t.TempDir()
	store, err := spool.Open(filepath.Join(dir, "spool"), nil)
	if err != nil {
		t.Fatal(err)
	}
	recipients := filepath.Join(dir, "recipients")
	if err := os.WriteFile(recipients, []byte("alice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var (
		transport = new(smtpclient.Transport)
		made      = new(smtpclient.Transport)
		later     = new(smtpclient.Transport)
		received  = smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: filepath.Join(dir, "logs")})
		sent      = smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{Dir: filepath.Join(dir, "logs")})
		pressure  = &policy.Pressure{Resources: []policy.Resource{{Name: "none", Use: func() (float64, error) { return 0, nil }, High: 90}}}
		directory = &policy.FileDirectory{Path: recipients}
		probe     = &policy.ProxyProbe{Target: netip.MustParseAddrPort("192.88.0.1:25"), Greeting: "220 mx.example.com "}
		filter    = &milter.Client{Address: "127.0.0.1:1"}
		clamd     = &scan.Clamd{Address: "127.0.0.1:1"}
		spamd     = &scan.Spamd{Address: "127.0.0.1:1"}
		hook      = &scan.HTTP{URL: "http://127.0.0.1:1/"}
		ruleSet   = &rules.Rules{}
		tracer    = &pipetrace.Tracer{Dir: filepath.Join(dir, "trace"), Sender: "<>"}
		folder    = &pickup.Folder{Dir: filepath.Join(dir, "pickup")}
		fetcher   = &routing.Fetcher{Transport: &smtpclient.Transport{}}
		dns       = &routing.DNSResolver{Servers: []string{"127.0.0.1:1"}}
		sender    = &policy.SenderDomain{}
		checks    = &spf.Checker{}
		keys      = &dkim.Verifier{}
		policies  = &dmarc.Checker{}
		chains    = &arc.Verifier{}
		own       gateway.Defaults // of an agent of the application
	)
	table := func(tr *smtpclient.Transport) *routing.Table {
		table, err := routing.NewTable(
			routing.Connector{Name: "own", Spaces: []string{"example.net"}, Transport: routing.SMTP(tr)},
			routing.Connector{Name: "made", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts("127.0.0.1:1")},
		)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	router := &routing.Router{Table: table(transport), NewTransport: func(string) *smtpclient.Transport { return made }}
	q := &queue.Queue{Store: store, Deliverer: router}
	srv := &smtpserver.Server{ProtocolLog: received, Agents: []smtpserver.Agent{sender.Agent(), {Inherit: func(d gateway.Defaults) { own = d }}}}
	gate := &policy.Gate{
		Domains:    []policy.Domain{{Name: "example.com", Directory: policy.Subaddresses(&policy.CachedDirectory{Directory: policy.AnyOf(directory)}, "")}},
		Pressure:   pressure,
		MailAuth:   []smtpserver.Agent{checks.Agent(), keys.Agent(), policies.Agent(), chains.Agent()},
		Reputation: &policy.Reputation{ProxyProbe: probe},
		Rules:      []smtpserver.Agent{ruleSet.Agent()},
		AntiSpam:   tracer.Wrap([]smtpserver.Agent{filter.Agent(), clamd.Agent(), spamd.Agent(), hook.Agent()}),
		Queue:      q,
	}
	if err := gate.Install(srv); err != nil {
		t.Fatal(err)
	}
	fetch := new(smtpserver.Server)
	if err := gate.Install(fetch); err != nil {
		t.Fatal(err)
	}
	relay := &gateway.Gateway{
		Hostname:  "relay.example.com",
		Logger:    logger,
		Resolver:  dns,
		Listeners: []*gateway.Listener{{Server: srv, Address: "127.0.0.1:0"}},
		Servers:   []*smtpserver.Server{fetch},
		Queue:     q,
		Tracking:  &tracking.Log{Dir: filepath.Join(dir, "tracking")},
		Parts:     []gateway.Inheritor{folder, fetcher},
		Closers:   []io.Closer{router, store, received, sent},
	}
	run(t, relay)
	router.SetTable(table(later))
	router.Explain(t.Context(), routing.Question{To: "a@example.org", Probe: true})

	for name, got := range map[string]string{
		"server": srv.Hostname, "server without listener": fetch.Hostname, "queue": q.Hostname, "router": router.Hostname,
		"tracking": relay.Tracking.Hostname, "pickup": folder.Hostname, "transport": transport.Hostname,
		"transport of a later table": later.Hostname, "transport of NewTransport": made.Hostname, "fetcher's transport": fetcher.Transport.Hostname, "agent": own.Hostname,
	} {
		if got != "relay.example.com" {
			t.Errorf("%s: Hostname %q", name, got)
		}
	}
	for name, got := range map[string]*slog.Logger{
		"server": srv.Logger, "server without listener": fetch.Logger, "queue": q.Logger, "router": router.Logger,
		"tracking": relay.Tracking.Logger, "pickup": folder.Logger, "transport": transport.Logger,
		"transport of a later table": later.Logger, "transport of NewTransport": made.Logger, "fetcher": fetcher.Logger, "agent": own.Logger,
		"receive log": received.Logger, "send log": sent.Logger, "pressure": pressure.Logger, "directory": directory.Logger,
		"proxy probe": probe.Logger, "milter": filter.Logger, "clamd": clamd.Logger, "spamd": spamd.Logger, "http": hook.Logger,
		"rules": ruleSet.Logger, "tracer": tracer.Logger,
	} {
		if got == nil {
			t.Errorf("%s: no Logger", name)
			continue
		}
		if got.Info("line of " + name + "."); !strings.Contains(log.String(), "line of "+name+".") {
			t.Errorf("%s: another Logger", name)
		}
	}
	for name, got := range map[string]gateway.Resolver{
		"router": router.Resolver, "fetcher": fetcher.Resolver, "sender domain": sender.Resolver, "agent": own.Resolver,
		"spf": checks.Resolver, "dkim": keys.Resolver, "dmarc": policies.Resolver, "arc": chains.Resolver,
	} {
		if got != gateway.Resolver(dns) {
			t.Errorf("%s: Resolver %v", name, got)
		}
	}
	if checks.Receiver != "relay.example.com" {
		t.Errorf("spf: Receiver %q", checks.Receiver)
	}
	if !strings.Contains(log.String(), `msg="spool: recovered"`) {
		t.Errorf("the lines of the spool before Run are missing:\n%s", log.String())
	}
}

// A value that is set on a part is kept.
func TestPartsKeepTheirSettings(t *testing.T) {
	var log, other syncBuffer
	own := slog.New(slog.NewTextHandler(&other, nil))
	router := &routing.Router{Hostname: "out.example.com", Logger: own}
	table, err := routing.NewTable(routing.Connector{Name: "all", Spaces: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	router.Table = table
	q := &queue.Queue{Store: new(memory.Store), Deliverer: router, Hostname: "queue.example.com", Logger: own}
	srv := &smtpserver.Server{Hostname: "mx.example.com", Logger: own}
	if err := (&policy.Gate{Domains: []policy.Domain{{Name: "example.com"}}, Queue: q}).Install(srv); err != nil {
		t.Fatal(err)
	}
	relay := &gateway.Gateway{
		Hostname: "relay.example.com", Logger: slog.New(slog.NewTextHandler(&log, nil)), Queue: q,
		Listeners: []*gateway.Listener{{Server: srv, Address: "127.0.0.1:0"}}, Closers: []io.Closer{router},
	}
	run(t, relay)
	if srv.Hostname != "mx.example.com" || q.Hostname != "queue.example.com" || router.Hostname != "out.example.com" {
		t.Errorf("server %s, queue %s, router %s", srv.Hostname, q.Hostname, router.Hostname)
	}
	if srv.Logger != own || q.Logger != own || router.Logger != own {
		t.Error("a Logger was replaced")
	}
	smtptest.Talk(t, relay.Listeners[0].Addr().String(), "S: 220 mx.example.com\nC: QUIT\nS: 221\n")
}

// Without a Hostname, the relay has the name of the system, and logs it once.
func TestHostnameOfTheSystem(t *testing.T) {
	r := newRelay(t)
	r.Hostname, r.Queue.Hostname, r.Listeners[0].Server.Hostname = "", "", ""
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	run(t, &r.Gateway)
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if r.Hostname != name || r.Queue.Hostname != name || r.Listeners[0].Server.Hostname != name {
		t.Errorf("gateway %q, queue %q, server %q, want %q", r.Hostname, r.Queue.Hostname, r.Listeners[0].Server.Hostname, name)
	}
	if n := strings.Count(r.logged(), "hostname="+name+"\n"); n != 1 {
		t.Errorf("%d lines with the name:\n%s", n, r.logged())
	}
}

// run runs a relay until the end of the test. It returns when the relay is
// ready.
func run(t *testing.T, relay *gateway.Gateway) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-relay.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
}

// The agents that a Gate makes of its settings use the Resolver of the Gateway:
// the lists of a ConnectionFilter, the host names of Clients, and the Received
// field.
func TestGateUsesTheResolver(t *testing.T) {
	dns := dnstest.New(t, `
		1.2.0.192.in-addr.arpa.        PTR client.example.net.
		client.example.net.            A   192.0.2.1
		1.2.0.192.list.example.        A   127.0.0.2
		2.0.0.127.list.example.        A   127.0.0.2
	`)
	for _, listed := range []bool{false, true} {
		socket := smtptest.NewListener()
		p := newParts(t, func(p *parts) {
			p.Listeners[0].Socket = socket
			p.Resolver = &routing.DNSResolver{Servers: []string{dns.Addr}}
			p.gate.ReverseDNS = true
			p.gate.Grants = []policy.Grant{{To: policy.Clients{Hosts: []string{"*.example.net"}}, Rights: policy.Submit | policy.AcceptAnySender | policy.AcceptAnyRecipient}}
			if listed {
				p.gate.Grants = nil
				p.gate.Connection = &policy.ConnectionFilter{BlockLists: []policy.DNSList{{Zone: "list.example"}}}
			}
			p.Queue.Deliverer = discard{}
			p.Closers = nil
		})
		run(t, p.Gateway)
		script := "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@other.example>\nS: 250\nC: QUIT\nS: 221\n"
		if listed {
			script = "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 550 5.7.1\nC: QUIT\nS: 221\n"
		}
		c, err := socket.Dial("192.0.2.1:1025")
		if err != nil {
			t.Fatal(err)
		}
		smtptest.TalkOn(t, c, script).Close()
	}
}
