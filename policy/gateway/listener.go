package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Listener is a socket, and the server that serves its connections. It
// belongs to one Gateway. Its methods are safe for concurrent use.
//
// Several Listeners can share a socket, as several receive connectors of Exchange do:
// they have the same Address (or Socket), and different RemoteNetworks.
type Listener struct {
	// Server serves the connections. It must be set. Replace changes it while
	// the relay runs.
	Server *smtpserver.Server
	// Address is the address to listen on, for example ":25" or "10.1.0.25:25".
	// Default ":25", or ":465" for a server with TLSImplicit.
	Address string
	// Socket, if set, is used instead of Address. The Listener closes it.
	Socket net.Listener
	// RemoteNetworks are the addresses of the clients that the Server serves. nil
	// means all. If several Listeners of the Gateway have the same Address, a
	// client belongs to the one with the most specific network that has its
	// address; a client that is in none of them gets 421 4.3.2. The same network in
	// two of them is an error. The client of a proxy (Server.ProxyFrom) is selected
	// by the address of the proxy, because its own is not known yet. See
	// Gateway.ReplaceNetworks to change them while the relay runs.
	RemoteNetworks []netip.Prefix

	accepted chan acceptance
	closed   chan struct{}
	running  sync.WaitGroup // accept, and one goroutine for each acceptor
	fail     func(error)    // gets the error of a server that ends by itself
	defaults *defaults      // for each server

	mu   sync.Mutex // guards the fields below, Server and Socket
	open bool
	now  *acceptor
	// servers may have sessions; the last one gets new connections.
	servers []*smtpserver.Server
	past    smtpserver.Counters // of the servers that were replaced and have no session
}

// An acceptance is the result of Accept.
type acceptance struct {
	conn net.Conn
	err  error
}

// listen opens the socket. It does not accept connections yet.
func (d *Listener) listen() error {
	if d.Socket != nil {
		return nil
	}
	l, err := net.Listen("tcp", d.address())
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Socket = l
	return nil
}

// server returns the server of new connections, or nil.
func (d *Listener) server() *smtpserver.Server {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.servers); n > 0 {
		return d.servers[n-1]
	}
	return d.Server
}

// serve accepts connections. fail gets the error of a server that ends by
// itself.
func (d *Listener) serve(defaults *defaults, fail func(error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepted, d.closed, d.open = make(chan acceptance), make(chan struct{}), true
	d.defaults, d.fail = defaults, fail
	d.running.Go(d.accept)
	defaults.apply(d.Server)
	d.begin(d.Server)
}

// accept passes each connection to the current server.
func (d *Listener) accept() {
	for {
		c, err := d.Socket.Accept()
		select {
		case d.accepted <- acceptance{c, err}:
		case <-d.closed:
			if c != nil {
				c.Close()
			}
			return
		}
	}
}

// oldSessions is how long the sessions of a replaced server may go on: as long
// as a client waits for the reply to its data (RFC 5321, 4.5.3.2.6).
const oldSessions = 10 * time.Minute

// Replace makes srv the server of all new connections. The previous server
// keeps its sessions for ten minutes. After that, each old session ends with 421
// as soon as it has no message in transfer. The limits of the two servers are
// counted separately, except for the LoginLimit.
//
// srv must be a server that has not been used before. Replace returns an error
// and changes nothing if srv was used before, or if its settings cannot work
// (smtpserver.Server.Validate).
//
// Before the Gateway runs, Replace only sets Server. After the Listener is closed
// it does nothing.
func (d *Listener) Replace(srv *smtpserver.Server) error {
	if err := check(srv); err != nil {
		return fmt.Errorf("gateway: Replace: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed == nil {
		d.Server = srv
	}
	if !d.open {
		return nil
	}
	old := d.servers[len(d.servers)-1]
	switch {
	case srv == old:
		return nil
	case srv.Counters().Sessions > 0 || slices.Contains(d.servers, srv):
		return errors.New("gateway: Replace: the Server was used before")
	}
	d.defaults.apply(srv)
	if err := srv.Validate(); err != nil { // for example if the budget is too small for it
		return fmt.Errorf("gateway: Replace: %w", err)
	}
	d.now.end()
	d.running.Go(func() { d.retire(old) })
	d.servers = slices.DeleteFunc(d.servers, func(s *smtpserver.Server) bool {
		if s.Counters().Current > 0 || s.Close() != nil {
			return false
		}
		d.past = d.past.Plus(s.Counters())
		d.defaults.sessions.Remove(s.LiveSessions())
		return true
	})
	d.begin(srv)
	return nil
}

// check returns an error if a server cannot serve.
func check(srv *smtpserver.Server) error {
	switch {
	case srv == nil:
		return errors.New("the Server is nil")
	case srv.Handler == nil:
		return errors.New("the Server has no Handler: policy.Gate.Install sets it")
	}
	return srv.Validate()
}

// retire ends the sessions of a replaced server after oldSessions.
func (d *Listener) retire(srv *smtpserver.Server) {
	late := time.NewTimer(oldSessions)
	defer late.Stop()
	select {
	case <-late.C:
		srv.Shutdown(context.Background()) // close ends it early
	case <-d.closed:
	}
}

// begin makes srv the server of new connections. The caller holds mu.
func (d *Listener) begin(srv *smtpserver.Server) {
	t := &acceptor{listener: d, over: make(chan struct{}), left: make(chan struct{})}
	d.now, d.servers = t, append(d.servers, srv)
	d.defaults.sessions.Add(srv.LiveSessions())
	d.running.Go(func() {
		defer close(t.left)
		if err := srv.Serve(t); !t.ended.Load() {
			d.fail(fmt.Errorf("gateway: %s: %w", d.Socket.Addr(), err))
		}
	})
}

// close closes the socket and ends the sessions of all servers.
func (d *Listener) close(soft context.Context) error {
	d.mu.Lock()
	servers := d.servers
	if d.open {
		d.open = false
		close(d.closed)
		d.now.end()
	}
	d.mu.Unlock()
	err := d.Socket.Close()
	errs := make(chan error, len(servers))
	for _, srv := range servers {
		go func() { errs <- shut(soft, srv) }()
	}
	for range servers {
		err = errors.Join(err, <-errs)
	}
	d.running.Wait()
	return err
}

// shut ends a server's sessions: in order while soft lasts, then at once.
func shut(soft context.Context, srv *smtpserver.Server) error {
	err := srv.Shutdown(soft)
	if err != nil {
		srv.Close() // waits for the sessions that it ended
	}
	return err
}

// An acceptor is the net.Listener that one server serves: it gets the
// connections of the socket until another server replaces that one.
type acceptor struct {
	listener *Listener
	ended    atomic.Bool // by the Listener
	once     sync.Once
	over     chan struct{} // closed when the server gets no more
	left     chan struct{} // closed when Serve has returned
}

// Accept returns net.ErrClosed after the server was replaced, as it would if
// the socket were closed.
func (t *acceptor) Accept() (net.Conn, error) {
	select {
	case a := <-t.listener.accepted:
		return a.conn, a.err
	case <-t.over:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. The socket stays open.
func (t *acceptor) Close() error {
	t.once.Do(func() { close(t.over) })
	return nil
}

func (t *acceptor) Addr() net.Addr { return t.listener.Socket.Addr() }

// end closes t and waits until Serve has returned.
func (t *acceptor) end() {
	t.ended.Store(true)
	t.Close()
	<-t.left
}
