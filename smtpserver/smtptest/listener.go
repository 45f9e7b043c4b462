package smtptest

import (
	"net"
	"net/netip"
	"sync"
)

// Listener is a net.Listener without a network: connections are pipes, and
// may come from any address. With it a server runs within a testing/synctest
// bubble, where hours pass in no time.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// NewListener makes a Listener.
func NewListener() *Listener {
	return &Listener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// Dial connects from an address, "192.0.2.7:1025".
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

// Accept implements net.Listener.
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

// Addr is an address for documentation.
func (l *Listener) Addr() net.Addr { return localAddr }

var localAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort("198.51.100.1:25"))

type pipeConn struct {
	net.Conn
	remote net.Addr
}

func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }
func (c *pipeConn) LocalAddr() net.Addr  { return localAddr }
