package policytest

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A Server is an smtpserver.Server that serves in-memory connections.
type Server struct {
	*smtpserver.Server
	// Inbox has the received messages. It stays empty if the server has its own
	// Handler.
	Inbox *smtptest.Inbox

	l *listener
}

// New serves srv and closes it when the test ends. A nil srv is a zero
// smtpserver.Server. If srv has no Handler, New sets an Inbox; if it has no
// Hostname, New sets "test.example".
func New(t testing.TB, srv *smtpserver.Server) *Server {
	t.Helper()
	if srv == nil {
		srv = new(smtpserver.Server)
	}
	s := &Server{Server: srv, Inbox: smtptest.NewInbox(), l: newListener()}
	if srv.Handler == nil {
		srv.Handler = s.Inbox
	}
	if srv.Hostname == "" {
		srv.Hostname = "test.example"
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; !errors.Is(err, smtpserver.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// Dial connects to the server as a client with the IP address from. It returns an
// error if from is not an IP address or the server is closed.
func (s *Server) Dial(from string) (net.Conn, error) { return s.l.dial(from) }

// Talk runs a session from a script, as a client with the IP address from. It
// fails the test if the server's replies differ from the script. See smtptest.Talk
// for the syntax.
func (s *Server) Talk(t testing.TB, from, script string) {
	t.Helper()
	c, err := s.Dial(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	smtptest.TalkOn(t, c, script)
}

// listener is a net.Listener for in-memory connections.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *listener) dial(from string) (net.Conn, error) {
	ip, err := netip.ParseAddr(from)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	select {
	case l.conns <- &conn{far, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 40000))}:
		return newClient(near), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return serverAddr }

var serverAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 25), Port: 25}

// conn is the server's end.
type conn struct {
	net.Conn
	remote net.Addr
}

func (c *conn) RemoteAddr() net.Addr { return c.remote }
func (c *conn) LocalAddr() net.Addr  { return serverAddr }

// client is the client's end. A pipe has no buffer, so two ends that write at the
// same time would block each other. Therefore a goroutine writes for the client.
type client struct {
	net.Conn
	out  chan []byte
	done chan struct{}
	once sync.Once
}

func newClient(c net.Conn) *client {
	k := &client{Conn: c, out: make(chan []byte, 16), done: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-k.out:
				c.Write(p) // the next Read returns the error
			case <-k.done:
				return
			}
		}
	}()
	return k
}

func (k *client) Write(p []byte) (int, error) {
	select {
	case k.out <- append([]byte(nil), p...):
		return len(p), nil
	case <-k.done:
		return 0, net.ErrClosed
	}
}

func (k *client) Close() error {
	k.once.Do(func() { close(k.done) })
	return k.Conn.Close()
}
