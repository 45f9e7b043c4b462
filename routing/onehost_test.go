package routing

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// manyDomains runs a queue with mail for 1,000 domains whose MX host is the same,
// and one domain with a host of its own.
type manyDomains struct {
	q         *queue.Queue
	conns     atomic.Int64 // that the host has accepted
	attempts  gauge        // Deliver calls for domains of the host
	open      gauge        // connections to the host, as the relay sees them
	arrived   atomic.Int64 // messages for the host
	elsewhere atomic.Int64 // messages for the other host
}

const domains = 1000

// A gauge counts what is in progress.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) begin() {
	n := g.now.Add(1)
	for m := g.most.Load(); n > m && !g.most.CompareAndSwap(m, n); m = g.most.Load() {
	}
}

func (g *gauge) end() { g.now.Add(-1) }

// dial opens a connection that is counted until the relay closes it.
func (x *manyDomains) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	x.open.begin()
	return &countedConn{Conn: c, end: sync.OnceFunc(x.open.end)}, nil
}

type countedConn struct {
	net.Conn
	end func()
}

func (c *countedConn) Close() error {
	c.end()
	return c.Conn.Close()
}

func (x *manyDomains) start(t *testing.T, serve func(net.Conn), timeouts smtpclient.Timeouts) {
	host := netip.MustParseAddrPort(peers.Serve(t, func(c net.Conn) { x.conns.Add(1); serve(c) }))
	other := netip.MustParseAddrPort(peers.Serve(t, func(c net.Conn) { accept(c, &x.elsewhere) }))
	zone := "mx.example. A 127.0.0.1\n"
	for i := range domains {
		zone += fmt.Sprintf("d%d.example. MX 10 mx.example.\n", i)
	}
	s := dnstest.New(t, zone)
	tr := &smtpclient.Transport{Hostname: "relay.test", Timeouts: timeouts, DialContext: x.dial}
	r := &Router{Hostname: "relay.test", Resolver: &DNSResolver{Servers: []string{s.Addr}}, Table: table(t,
		Connector{Name: "other", Spaces: []string{"other.example"}, SmartHosts: SmartHosts(fmt.Sprintf("[127.0.0.1]:%d", other.Port()))},
		Connector{Name: "internet", Spaces: []string{"*"}, Port: int(host.Port()), Transport: SMTP(tr)})}
	x.q = &queue.Queue{Store: new(memory.Store), Deliverer: counted{r, x}, Hostname: "relay.test"}
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	running.Go(func() {
		if err := x.q.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait(); r.Close(); tr.Close(); x.q.Store.Close() })
}

// counted counts the Deliver calls for domains of the host.
type counted struct {
	*Router
	x *manyDomains
}

func (c counted) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	if hop.Connector == "internet" {
		c.x.attempts.begin()
		defer c.x.attempts.end()
	}
	return c.Router.Deliver(ctx, hop, m, rcpts)
}

func (x *manyDomains) submit(t *testing.T, to string) {
	t.Helper()
	if err := x.q.Submit(t.Context(), &queue.Message{Recipients: queue.Rcpt(to), Content: queue.String("Subject: x\r\n")}); err != nil {
		t.Fatal(err)
	}
}

// accept is a host that takes all mail.
func accept(conn net.Conn, n *atomic.Int64) {
	r := bufio.NewReader(conn)
	io.WriteString(conn, "220 mx\r\n")
	for {
		line, err := r.ReadString('\n')
		switch verb := line[:min(len(line), 4)]; {
		case err != nil || verb == "QUIT":
			return
		case verb == "DATA":
			io.WriteString(conn, "354 go\r\n")
			for line != ".\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			n.Add(1)
			io.WriteString(conn, "250 2.0.0 ok\r\n")
		default:
			io.WriteString(conn, "250 ok\r\n")
		}
	}
}

// A live host with many domains has at most 20 connections, which carry the mail
// of all of them.
func TestManyDomainsOfOneLiveHost(t *testing.T) {
	x := new(manyDomains)
	x.start(t, func(c net.Conn) { accept(c, &x.arrived) }, smtpclient.Timeouts{})
	for i := range 3 * domains {
		x.submit(t, fmt.Sprintf("b@d%d.example", i%domains))
	}
	peers.Await(t, "all mail", func() bool { return x.arrived.Load() == 3*domains })
	// A session carries 100 messages.
	if n := x.conns.Load(); n > 20+3*domains/100 {
		t.Errorf("%d connections", n)
	}
	t.Logf("%d connections for %d messages", x.conns.Load(), x.arrived.Load())
}

// A silent host with many domains takes 20 delivery slots until it is known to be
// silent, and then one. Mail for another host is delivered meanwhile.
func TestManyDomainsOfOneSilentHost(t *testing.T) {
	x := new(manyDomains)
	silent := func(c net.Conn) { io.Copy(io.Discard, c) }
	x.start(t, silent, smtpclient.Timeouts{Greeting: 2 * time.Second})
	for i := range domains {
		x.submit(t, fmt.Sprintf("b@d%d.example", i))
	}
	peers.Await(t, "the first connections", func() bool { return x.conns.Load() >= 20 })
	if n := x.open.most.Load(); n > 20 {
		t.Errorf("%d connections at a time", n)
	}
	for i := range 10 {
		x.submit(t, "b@other.example")
		peers.Await(t, "the mail for another host", func() bool { return x.elsewhere.Load() == int64(i+1) })
	}
	// After the learning phase: one attempt in each two seconds.
	peers.Await(t, "the second round", func() bool { return x.conns.Load() > 20 })
	// The learning phase may not be over yet, so a failed count begins again.
	var before int64
	peers.Await(t, "three attempts, one at a time", func() bool {
		switch {
		case x.conns.Load() < before+3:
			return false
		case before > 0 && x.attempts.most.Load() <= 2: // one, and a domain that is found to be busy
			return true
		}
		before = x.conns.Load()
		x.attempts.most.Store(0)
		return false
	})
}
