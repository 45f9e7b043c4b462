package e2e

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) {
	if settings := os.Getenv(relayEnv); settings != "" {
		relayMain(settings)
		return
	}
	if os.Getenv(benchHostEnv) != "" {
		benchHostMain()
		return
	}
	goleak.VerifyTestMain(m)
}

// relayConfig has the settings of a relay for tests. The relay relays for
// loopback. Its queue is in spool. It sends all mail to smartHost, except mail for
// example.com if home is set: this goes to home.
type relayConfig struct {
	spool     string
	listen    string
	smartHost string
	home      string
	retry     queue.Retry
	timeouts  smtpclient.Timeouts
	logger    *slog.Logger
	limits    queue.Limits
	segment   int64 // spool.Options.SegmentSize
}

// A relay is a complete relay: smtpserver, policy, queue, routing and smtpclient.
type relay struct {
	addr   string
	store  *spool.Spool
	queue  *queue.Queue
	router *routing.Router
	srv    *smtpserver.Server
	l      net.Listener
}

func assemble(c relayConfig) (*relay, error) {
	store, err := spool.Open(c.spool, &spool.Options{SegmentSize: c.segment})
	if err != nil {
		return nil, err
	}
	transport := routing.SMTP(&smtpclient.Transport{Hostname: "relay.example.com", Timeouts: c.timeouts})
	connectors := []routing.Connector{{
		Name: "out", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(bracket(c.smartHost)), Transport: transport,
	}}
	if c.home != "" {
		connectors = append(connectors, routing.Connector{
			Name: "home", Spaces: []string{"example.com"}, SmartHosts: routing.SmartHosts(bracket(c.home)),
		})
	}
	table, err := routing.NewTable(connectors...)
	if err != nil {
		return nil, err
	}
	r := &relay{store: store, router: &routing.Router{Table: table, Hostname: "relay.example.com", Logger: c.logger}}
	r.queue = &queue.Queue{Store: store, Deliverer: r.router, Hostname: "relay.example.com", Retry: c.retry, Limits: c.limits, Logger: c.logger}
	gate := &policy.Gate{
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Queue:    r.queue,
	}
	r.srv = &smtpserver.Server{Hostname: "relay.example.com", ContentFile: store.CreateFile}
	if err := gate.Install(r.srv); err != nil {
		return nil, err
	}
	r.l, err = net.Listen("tcp", cmp.Or(c.listen, "127.0.0.1:0"))
	if err != nil {
		return nil, err
	}
	r.addr = r.l.Addr().String()
	return r, nil
}

func bracket(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return "[" + host + "]:" + port
}

// run serves until ctx ends. Then it shuts the relay down.
func (r *relay) run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { r.queue.Run(context.Background()) })
	wg.Go(func() { r.srv.Serve(r.l) })
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := r.srv.Shutdown(stop)
	if e := r.queue.Shutdown(stop); err == nil {
		err = e
	}
	wg.Wait()
	r.router.Close()
	if e := r.store.Close(); err == nil {
		err = e
	}
	return err
}

// startRelay runs a relay until the test ends.
func startRelay(t *testing.T, c relayConfig) *relay {
	t.Helper()
	if c.spool == "" {
		c.spool = t.TempDir()
	}
	c.logger = slog.New(slog.NewTextHandler(&testLog{t: t}, nil))
	r, err := assemble(c)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return r
}

// waiting returns the number of messages in the spool.
func (r *relay) waiting(t *testing.T) (n int) {
	t.Helper()
	for _, err := range r.store.List(t.Context(), queue.Query{}) {
		must(t, err)
		n++
	}
	return n
}

// A testLog keeps the relay's log and prints it if the test fails.
type testLog struct {
	t    *testing.T
	once sync.Once
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *testLog) Write(b []byte) (int, error) {
	l.once.Do(func() {
		l.t.Cleanup(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.t.Failed() {
				l.t.Logf("the relay's log:\n%.8000s", l.text.Bytes())
			}
		})
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}
