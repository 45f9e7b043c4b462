//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/postgres"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A provider is a node in this process that keeps the mail of the customer branch until
// the customer requests it, and the mail for line.example until an operator does.
type provider struct {
	t      *testing.T
	q      *queue.Queue
	router *routing.Router
}

// newProviders starts two nodes on one database. After ETRN, the mail goes to the host.
func newProviders(t *testing.T, host string) (a, b *provider) {
	url := pgtest.Database(t)
	return newProvider(t, url, "a", host), newProvider(t, url, "b", host)
}

func newProvider(t *testing.T, url, name, host string) *provider {
	t.Helper()
	table, err := routing.NewTable(routing.Connector{
		Name: "branch", Spaces: []string{"branch.example"}, Exclusive: true, SmartHosts: routing.SmartHosts(host),
		Hold: true, HoldAccounts: []string{"branch"},
	}, routing.Connector{
		Name: "line", Spaces: []string{"line.example"}, SmartHosts: routing.SmartHosts(host), OnDemand: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	// No node is declared dead, however slow the machine is.
	store, err := postgres.Open(t.Context(), url, &postgres.Options{Node: name, Connections: 3, DeadAfter: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, router: &routing.Router{Table: table, Hostname: name + ".example.com"}}
	p.q = &queue.Queue{Store: store, Deliverer: p.router, Hostname: name + ".example.com"}
	p.router.Wake = routing.WakeQueue(p.q)
	ended := make(chan error)
	go func() { ended <- p.q.Run(context.WithoutCancel(t.Context())) }()
	t.Cleanup(func() {
		if err := p.q.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		peers.CloseAtEnd(t, p.router, store)
	})
	return p
}

// accept accepts n messages for the customer.
func (p *provider) accept(n int) {
	p.t.Helper()
	for i := range n {
		p.submit(fmt.Sprintf("u%d@branch.example", i))
	}
}

func (p *provider) submit(to string) {
	p.t.Helper()
	m := &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt(to), Content: queue.String("Subject: x\r\n\r\nx\r\n")}
	if err := p.q.Submit(p.t.Context(), m); err != nil {
		p.t.Fatal(err)
	}
}

// awaitHeld returns when all mail waits in the database, and it is n messages.
func (p *provider) awaitHeld(n int) {
	p.t.Helper()
	peers.Await(p.t, fmt.Sprintf("%d messages wait", n), func() bool {
		queues, err := p.q.Queues(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		if len(queues) == 0 {
			return n == 0
		}
		return len(queues) == 1 && queues[0].Stored == n && queues[0].InMemory == 0
	})
}

// atrn is a client that requests its mail from the node until it has got n messages. It
// returns how many it got. A node that has some of the mail in memory may need some time to
// give it back, so the client may have to ask again.
func (p *provider) atrn(n int) (got int) {
	p.t.Helper()
	customer := smtptest.NewServer(p.t, &smtpserver.Server{Handler: smtptest.NewInbox()})
	for tries := 0; got < n && tries < 5; tries++ {
		reply, session := p.router.ATRN("branch", "branch.example")
		if session == nil {
			p.t.Fatal(&reply)
		}
		conn, err := net.Dial("tcp", customer.Addr)
		if err != nil {
			p.t.Fatal(err)
		}
		if err := session.Serve(p.t.Context(), conn); err != nil {
			p.t.Error(err)
		}
		got += session.Delivered()
	}
	return got
}

// A client can send ETRN to any node. It starts the mail that another node has accepted,
// before the request and after it.
func TestETRNAtAnyNode(t *testing.T) {
	t.Parallel()
	inbox := smtptest.NewInbox()
	host := smtptest.NewServer(t, &smtpserver.Server{Handler: inbox})
	a, b := newProviders(t, host.Addr)
	b.accept(3)
	a.awaitHeld(3)
	if reply := a.router.ETRN(t.Context(), "branch", "branch.example"); reply.Code/100 != 2 {
		t.Errorf("ETRN: %v", &reply)
	}
	for range 3 {
		inbox.Next(t)
	}
	b.submit("later@branch.example")
	if m := inbox.Next(t); m.To()[0] != "later@branch.example" {
		t.Errorf("mail for %s", m.To())
	}
	b.awaitHeld(0)
}

// A client can send ATRN to any node, and gets the mail that all nodes have accepted.
func TestATRNAtAnyNode(t *testing.T) {
	t.Parallel()
	a, b := newProviders(t, "127.0.0.1:9")
	const n = 5
	for _, asked := range []*provider{a, b, a} {
		a.accept(n)
		b.accept(n)
		a.awaitHeld(2 * n)
		if got := asked.atrn(2 * n); got != 2*n {
			t.Errorf("%s: %d messages", asked.q.Hostname, got)
		}
		a.awaitHeld(0)
	}
}

// The connection of a client to one node is dead, and the node does not know it. The client
// gets its mail from another node, but for the message that is being sent and the few that
// wait for it in memory. When the node has found that the connection is dead, the client gets
// these too.
func TestATRNAfterDeadConnection(t *testing.T) {
	t.Parallel()
	a, b := newProviders(t, "127.0.0.1:9")
	const n, few = 20, 5
	a.accept(n)
	a.awaitHeld(n)
	end := a.deadSession()
	got := b.atrn(n - few)
	if got < n-few || got >= n {
		t.Errorf("%d messages of %d while the first connection is dead", got, n)
	}
	end()
	b.awaitHeld(n - got)
	if rest := b.atrn(n - got); rest != n-got {
		t.Errorf("then %d messages of %d", rest, n-got)
	}
}

// deadSession begins to send mail to a client that does not answer any more.
func (p *provider) deadSession() (end func()) {
	p.t.Helper()
	_, session := p.router.ATRN("branch", "")
	ours, theirs := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { session.Serve(p.t.Context(), ours) })
	end = sync.OnceFunc(func() { theirs.Close(); serving.Wait() })
	p.t.Cleanup(end)
	lines := bufio.NewReader(theirs)
	for _, reply := range []string{"220 branch.test", "250 branch.test"} {
		fmt.Fprintf(theirs, "%s\r\n", reply)
		if _, err := lines.ReadString('\n'); err != nil { // EHLO, then MAIL
			p.t.Fatal(err)
		}
	}
	return end
}

// A client whose host cannot be reached sends ETRN to one node, and then ATRN to the other.
func TestATRNAfterETRN(t *testing.T) {
	t.Parallel()
	a, b := newProviders(t, "127.0.0.1:9")
	const n = 5
	a.accept(n)
	a.awaitHeld(n)
	a.router.ETRN(t.Context(), "branch", "branch.example")
	if got := b.atrn(n); got != n {
		t.Errorf("%d messages of %d", got, n)
	}
}

// An operator can request the mail of a connector with OnDemand at any node.
func TestOnDemandAtAnyNode(t *testing.T) {
	t.Parallel()
	inbox := smtptest.NewInbox()
	host := smtptest.NewServer(t, &smtpserver.Server{Handler: inbox})
	a, b := newProviders(t, host.Addr)
	b.submit("bob@line.example")
	a.awaitHeld(1)
	if _, err := a.q.RetryQueues(t.Context(), func(hop queue.NextHop) bool { return hop.Connector == "line" }); err != nil {
		t.Fatal(err)
	}
	inbox.Next(t)
	b.submit("carol@line.example")
	if m := inbox.Next(t); m.To()[0] != "carol@line.example" {
		t.Errorf("mail for %s", m.To())
	}
}
