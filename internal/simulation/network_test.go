package simulation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A network connects machines. It has all listeners, by address and port.
type network struct {
	w         *world
	mu        sync.Mutex // guards the fields below
	listeners map[string]*listener
	dials     map[string]int // by address, for the names of connections
}

// A machine is one end of connections: a host, a client, or one process of the relay.
// When it dies, its connections end.
type machine struct {
	net   *network
	addr  netip.Addr
	mu    sync.Mutex // guards the fields below
	conns map[*conn]bool
	gone  bool
	// calls counts down the calls of Read and Write. At 0 the machine calls
	// atCall.
	calls  atomic.Int64
	atCall func()
}

func (n *network) machine(addr string) *machine {
	return &machine{net: n, addr: netip.MustParseAddr(addr), conns: make(map[*conn]bool)}
}

// die ends all connections of the machine. If it dies silently (a power failure), the
// peers learn nothing; otherwise they get resets.
func (m *machine) die(silently bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
	byName := func(a, b *conn) int { return strings.Compare(a.name(), b.name()) }
	for _, c := range slices.SortedFunc(maps.Keys(m.conns), byName) { // the same order in each run
		c.die(silently)
	}
}

// dialed counts the open connections to each other address.
func (m *machine) dialed() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := make(map[string]int)
	for c := range m.conns {
		if c.number == 0 {
			n[c.remote.String()]++
		}
	}
	return n
}

func (m *machine) dead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

// add adds a connection, unless the machine is dead.
func (m *machine) add(c *conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return false
	}
	m.conns[c] = true
	return true
}

func (m *machine) remove(c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c)
}

// A listener is a port of a machine.
type listener struct {
	m       *machine
	addr    *net.TCPAddr
	backlog chan *conn
	done    chan struct{}
	once    sync.Once
	// connect, if set, decides what a connection meets; see dialing.
	connect func(n int) dialing
}

// dialing is what a connection meets.
type dialing int

const (
	accepted dialing = iota
	refused          // a reset
	ignored          // no answer
)

func (m *machine) listen(port uint16) *listener {
	l := &listener{m: m, addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(m.addr, port)), backlog: make(chan *conn, 1000), done: make(chan struct{})}
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.net.listeners[l.addr.String()] = l
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

// Close closes the port, and resets the connections that were not accepted.
func (l *listener) Close() error {
	l.once.Do(func() {
		n := l.m.net
		n.mu.Lock()
		if n.listeners[l.addr.String()] == l {
			delete(n.listeners, l.addr.String())
		}
		n.mu.Unlock()
		close(l.done)
		for {
			select {
			case c := <-l.backlog:
				c.reset()
			default:
				return
			}
		}
	})
	return nil
}

// dial connects a machine to an address and port.
func (m *machine) dial(ctx context.Context, to string) (net.Conn, error) {
	if m.dead() {
		return nil, errDead
	}
	m.net.mu.Lock()
	m.net.dials[to]++
	number := m.net.dials[to]
	m.net.mu.Unlock()
	rnd := m.net.w.rand(fmt.Sprintf("connection %s %d", to, number))
	latency := time.Duration(rnd.Int64N(int64(60 * time.Millisecond)))
	if err := wait(ctx, latency+time.Millisecond); err != nil {
		return nil, err
	}
	m.net.mu.Lock()
	l := m.net.listeners[to]
	m.net.mu.Unlock()
	meets := refused
	if l != nil {
		meets = accepted
		if l.connect != nil {
			meets = l.connect(number)
		}
	}
	switch meets {
	case ignored:
		<-ctx.Done()
		return nil, ctx.Err()
	case refused:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(m.addr, uint16(1024+rnd.IntN(60000))))
	p := &pair{latency: latency, rnd: rnd}
	a := &conn{pair: p, machine: m, local: from, remote: l.addr, changed: make(chan struct{})}
	b := &conn{pair: p, machine: l.m, local: l.addr, remote: from, changed: make(chan struct{}), number: number}
	a.peer, b.peer = b, a
	if !m.add(a) {
		return nil, syscall.ECONNRESET
	}
	if !l.m.add(b) {
		a.reset()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	select {
	case l.backlog <- b:
		return a, nil
	case <-l.done:
	}
	a.reset()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errDead is the error of calls of a dead machine.
var errDead = errors.New("this machine is dead")

// timeoutError is the error of a call after its deadline.
var timeoutError = &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
