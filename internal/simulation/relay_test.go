package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/memdisk"
	"github.com/bridgehead-mail/bridgehead/internal/wall"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A relay is one process of the relay, from its start to its death.
type relay struct {
	w         *world
	life      int // 1 is the first process
	machine   *machine
	disk      *memdisk.Disk
	store     *spool.Spool
	queue     *queue.Queue
	router    *routing.Router
	gate      *policy.Gate
	listener  *gateway.Listener
	current   atomic.Pointer[smtpserver.Server] // that of the listener
	stop      context.CancelFunc
	ended     chan error // gets the error of Gateway.Run
	died      chan bool  // true: the power failed
	once      sync.Once
	power     bool         // it will die of a power failure
	diskCalls atomic.Int64 // the process dies when this reaches 0
	dyingIn   atomic.Int64 // the process dies during the attempt in which this reaches 0
	attempts  atomic.Int32 // in progress
}

// Limits of the relay, small enough that the clients reach them.
const (
	maxDeliveries = 12
	maxHop        = 4
	maxActive     = 24
	maxSessions   = 9
	maxPerAddr    = 4
	segmentSize   = 256 << 10
)

// ownDomains are the domains for which the relay accepts mail from strangers.
var ownDomains = []string{"d0.example", "d1.example", "d2.example"}

// retry are the intervals and the lifetime of mail.
var retry = queue.Retry{
	Intervals: []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute}, Jitter: -1,
	DelayNotice: 20 * time.Minute, Expiry: 90 * time.Minute,
}

// start starts a process.
func (w *world) start(life int) (*relay, error) {
	r := &relay{w: w, life: life, disk: w.disk, machine: w.net.machine(relayAddr), ended: make(chan error, 1), died: make(chan bool, 1)}
	r.machine.atCall = r.crash
	w.useDisk(r)
	logger := slog.New(slog.NewTextHandler(logWriter{r}, nil))
	store, err := spool.Open("spool", &spool.Options{SegmentSize: segmentSize, LargeContent: 8 << 10, Logger: logger, FileSystem: r.disk})
	if err != nil {
		return r, err
	}
	r.store = store
	if n := len(store.Recovery().Damaged); n > 0 {
		w.oracle.problem("the spool is damaged after %v: %+v", w.deaths, store.Recovery().Damaged)
	}
	transports := map[bool]*smtpclient.Transport{}
	for _, lmtp := range []bool{false, true} {
		transports[lmtp] = &smtpclient.Transport{LMTP: lmtp, MaxConnsPerAddr: maxPerAddr, Logger: logger, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return r.machine.dial(ctx, addr)
		}}
	}
	r.router = &routing.Router{
		Table: w.tables[0], Resolver: routing.ResolverFunc(r.lookup), Hostname: "relay.example.com", Logger: logger, Clock: wall.Reading(w.clock.now),
		NewTransport: func(connector string) *smtpclient.Transport { return transports[connector == "lmtp"] },
	}
	r.queue = &queue.Queue{
		Store: store, Deliverer: &deliverer{Router: r.router, relay: r}, Hostname: "relay.example.com", Retry: retry, Logger: logger, Clock: wall.Reading(w.clock.now),
		Limits: queue.Limits{Deliveries: maxDeliveries, Active: maxActive, Memory: 256 << 10, Hop: queue.HopLimits{Concurrency: maxHop, Recipients: 20}},
	}
	w.keepResults(r)
	r.router.Wake = routing.WakeQueue(r.queue)
	r.gate = &policy.Gate{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Authenticated: true, Queue: r.queue}
	for _, d := range ownDomains {
		r.gate.Domains = append(r.gate.Domains, policy.Domain{Name: d, Kind: policy.ExternalRelay})
	}
	srv, err := r.server()
	if err != nil {
		return r, errors.Join(err, store.Close())
	}
	r.current.Store(srv)
	r.listener = &gateway.Listener{Server: srv, Socket: r.machine.listen(25)}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	g := &gateway.Gateway{Listeners: []*gateway.Listener{r.listener}, Queue: r.queue, Closers: []io.Closer{r.router, store}, Grace: 10 * time.Second, Logger: logger}
	events := r.queue.Subscribe(1 << 16)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for e := range events.C {
			if !r.machine.dead() {
				w.oracle.event(&e)
			}
		}
	}()
	go func() {
		err := g.Run(ctx)
		events.Close()
		<-drained
		r.ended <- err
	}()
	return r, nil
}

// lookup asks the DNS. A dead process asks nothing.
func (r *relay) lookup(ctx context.Context, name string, t routing.RecordType) (*routing.Answer, error) {
	if r.machine.dead() {
		return nil, errDead
	}
	return r.w.dns.Lookup(ctx, name, t)
}

// server returns a new server for the relay.
func (r *relay) server() (*smtpserver.Server, error) {
	srv := &smtpserver.Server{
		Hostname: "relay.example.com", AllowInsecureAuth: true,
		Limits:     smtpserver.Limits{Connections: maxSessions, MemoryContent: 1 << 20},
		BareLFFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/26")},
		Auth: smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
			if user != "user" || password != "secret" {
				return errors.New("wrong password")
			}
			return nil
		}),
		Logger: slog.New(slog.NewTextHandler(logWriter{r}, nil)),
	}
	srv.Agents = []smtpserver.Agent{policy.HeldMail(r.router)}
	return srv, r.gate.Install(srv)
}

// reload replaces the routing table and the server.
func (r *relay) reload(table int) {
	r.router.SetTable(r.w.tables[table])
	srv, err := r.server()
	if err == nil {
		r.current.Store(srv)
		err = r.listener.Replace(srv)
	}
	if err != nil && !r.machine.dead() {
		r.w.oracle.problem("reload: %v", err)
	}
}

// crash ends the process at once: it does nothing more to the network and to the disk.
func (r *relay) crash() {
	if r.w.healed.Load() {
		return
	}
	r.disk.Die()
	r.kill()
}

// kill is crash for a call of the disk, which must return memdisk.ErrDied.
func (r *relay) kill() {
	r.once.Do(func() {
		r.machine.die(r.power)
		r.died <- r.power
	})
}

// A deliverer counts attempts, and gives each a moment of its own.
type deliverer struct {
	*routing.Router
	relay *relay
}

// Deliver implements queue.Deliverer.
func (d *deliverer) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	r := d.relay
	n := r.attempts.Add(1)
	defer r.attempts.Add(-1)
	if n > maxDeliveries {
		r.w.oracle.problem("%d deliveries at a time", n)
	}
	name := fmt.Sprintf("attempt %s %d %d", rcpts[0].Addr, rcpts[0].Attempts, r.life)
	if m.System { // a sender gets several reports
		_, about := failures(io.NewSectionReader(m.Content, 0, m.Content.Size()))
		name += about
	}
	wait(ctx, time.Millisecond+time.Duration(r.w.rand(name).Int64N(int64(5*time.Millisecond))))
	if r.dyingIn.Add(-1) == 0 {
		after := time.Duration(r.w.rand("dying " + name).Int64N(int64(time.Minute)))
		r.w.hostsDone.Go(func() {
			time.Sleep(after)
			r.crash()
		})
	}
	return d.Router.Deliver(ctx, hop, m, rcpts)
}

// A logWriter writes the log of a relay to the output of the test, if the trace is
// printed.
type logWriter struct{ r *relay }

func (l logWriter) Write(line []byte) (int, error) {
	if p := l.r.w.trace.print; p != nil {
		p(fmt.Sprintf("%16.9f log %d: %s", time.Since(l.r.w.begun).Seconds(), l.r.life, strings.TrimSpace(string(line))))
	}
	return len(line), nil
}
