package browser

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/policy/trace/pipetrace"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A world is a relay with its console and the hosts around it. Mail for
// example.com goes to the server inside, which refuses mail for unknown@ and defers
// mail for full@. The hosts of the connector partner do not exist. The relay is the node
// relay-1 of a cluster, of which the other nodes are only shown.
type world struct {
	t       *testing.T
	relay   *gateway.Gateway
	queue   *queue.Queue
	nodes   *clustertest.Cluster
	blocks  *policy.Reputation // of the clients
	tracing *pipetrace.Switch
	inside  *smtptest.Server
	smtp    string // address of the relay
	console string // URL of the console, without a slash at the end
	login   string // URL with the token
}

// newWorld starts a relay whose spool and logs are in dir.
func newWorld(t *testing.T, dir string) *world {
	t.Helper()
	inside := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			switch to {
			case "unknown@example.com":
				return smtpserver.Reject(550, "5.1.1", "No such user")
			case "full@example.com":
				return smtpserver.Reject(452, "4.2.2", "Mailbox full <b>now</b>")
			}
			return nil
		},
	}}})
	store, err := spool.Open(filepath.Join(dir, "spool"), nil)
	if err != nil {
		t.Fatal(err)
	}
	domains := []policy.Domain{{Name: "example.com", SmartHosts: []string{inside.Addr}}}
	table, err := routing.Site{Accepted: policy.Destinations(domains...)}.NewTable(
		routing.Connector{Name: "partner", Spaces: []string{"*.partner.example", "partner.example"}, SmartHosts: routing.SmartHosts(peers.FreeAddr(t))},
	)
	if err != nil {
		t.Fatal(err)
	}
	router := &routing.Router{Table: table}
	cluster := clustertest.New(nodes()...)
	shared := struct {
		*spool.Spool
		*clustertest.Cluster
	}{store, cluster}
	w := &world{t: t, inside: inside, queue: &queue.Queue{Store: shared, Deliverer: router}, nodes: cluster, blocks: new(policy.Reputation)}
	gate := &policy.Gate{Domains: domains, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Queue: w.queue, Reputation: w.blocks}
	srv := &smtpserver.Server{Name: "receive", ContentFile: store.CreateFile}
	if err := gate.Install(srv); err != nil {
		t.Fatal(err)
	}
	w.relay = &gateway.Gateway{
		Hostname:  "relay.example.com",
		Listeners: []*gateway.Listener{{Server: srv, Address: "127.0.0.1:0"}},
		Queue:     w.queue,
		Tracking:  &tracking.Log{Dir: filepath.Join(dir, "tracking")},
		Closers:   []io.Closer{router, store},
	}
	// The candidate has no connector for the partner.
	candidate, err := routing.Site{Accepted: policy.Destinations(domains...)}.NewTable(routing.Connector{Name: "other", Spaces: []string{"other.example"}})
	if err != nil {
		t.Fatal(err)
	}
	w.tracing = &pipetrace.Switch{New: func(sender string, d time.Duration) *pipetrace.Tracer {
		return &pipetrace.Tracer{Dir: filepath.Join(dir, "PipelineTracing"), Sender: sender, Duration: d}
	}}
	t.Cleanup(w.tracing.Stop)
	url := make(chan string, 1)
	web := &console.Console{
		Candidate: func(context.Context) (*compare.Candidate, error) {
			return &compare.Candidate{Name: "without the partner", Table: candidate}, nil
		},
		Tracing: w.tracing,
		Gateway: w.relay, Address: "127.0.0.1:0", AuditDir: filepath.Join(dir, "audit"), Print: func(s string) { url <- s },
	}
	w.relay.Tasks = append(w.relay.Tasks, web.Run)
	w.relay.Parts = append(w.relay.Parts, web)
	w.start()
	w.login = <-url
	w.console, _, _ = strings.Cut(w.login, "/?")
	return w
}

// nodes returns nodes in each state.
func nodes() []queue.Node {
	now := time.Now()
	node := func(name string, state queue.NodeState, started, silent time.Duration, leased int) queue.Node {
		return queue.Node{
			Name: name, State: state, Started: now.Add(-started), LastBeat: now.Add(-silent), Silent: silent, Leased: leased,
			Info: map[string]string{"host": name + ".example.com", "version": "v0.1.0"},
		}
	}
	all := []queue.Node{
		node("relay-1", queue.NodeAlive, 50*time.Hour, 2*time.Second, 12345),
		node("relay-2", queue.NodeAlive, 49*time.Hour, 4*time.Second, 321),
		node("relay-3", queue.NodeSilent, 48*time.Hour, 12*time.Second, 20),
		node("relay-4", queue.NodeDead, 48*time.Hour, 3*time.Minute, 0),
		node("relay-5", queue.NodeStopped, 72*time.Hour, time.Hour, 0),
	}
	all[0].This = true
	all[1].Draining = queue.Draining{Node: "relay-2", By: "admin", Reason: "a new kernel <b>now</b> \u202e, and the disk is replaced too", Since: now.Add(-time.Hour)}
	return all
}

// start runs the relay until the test ends.
func (w *world) start() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.relay.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	select {
	case <-w.relay.Ready():
	case err := <-ended:
		w.t.Fatal(err)
	}
	w.smtp = w.relay.Listeners[0].Addr().String()
}

// send sends a message through the relay.
func (w *world) send(from, subject string, to ...string) {
	w.t.Helper()
	m := &smtpclient.Message{From: from, Content: smtpclient.String(fmt.Sprintf(
		"From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s@sender.example>\r\nDate: Sat, 28 Nov 2026 12:00:00 +0000\r\n\r\nhello\r\n", from, to[0], subject, subject))}
	for _, addr := range to {
		m.Recipients = append(m.Recipients, smtpclient.Recipient{Addr: addr})
	}
	if err := smtpclient.Send(w.t.Context(), w.smtp, nil, m); err != nil {
		w.t.Fatal(err)
	}
}

// dial connects to the relay.
func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.smtp)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}
