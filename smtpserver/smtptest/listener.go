package smtptest

import (
	"net"
	"net/netip"
	"sync"
)

// A Listener is a net.Listener without a network: its connections are pipes
// (net.Pipe), and the test chooses the address of each client. A server can use
// it in a testing/synctest bubble, where time advances at once. It is safe for
// concurrent use.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// NewListener returns a new Listener.
func NewListener() *Listener {
	return &Listener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// Dial connects to the listener and returns the client's side of the connection.
// from is the client's address and port, as "192.0.2.7:1025". Dial waits until
// the server accepts the connection. After Close it returns net.ErrClosed.
func (l *Listener) Dial(from string) (net.Conn, error) {
	remote, err := netip.ParseAddrPort(from)
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- &pipeConn{Conn: ours, remote: net.TCPAddrFromAddrPort(remote)}:
		return theirs, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener. After Close it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr returns 198.51.100.1:25, an address for documentation (RFC 5737).
func (l *Listener) Addr() net.Addr { return localAddr }

var localAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort("198.51.100.1:25"))

// pipeConn is the server's side of a connection.
type pipeConn struct {
	net.Conn
	remote net.Addr
}

func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }
func (c *pipeConn) LocalAddr() net.Addr  { return localAddr }
