package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Door is a socket, and the server that serves those who come by it. It
// belongs to one Gateway. Its methods are safe for concurrent use.
type Door struct {
	Server *smtpserver.Server
	// Address to listen on, as ":25" or "10.1.0.25:25". Default ":25", or
	// ":465" for a server with TLSImplicit.
	Address string
	// Listener, where it is set, takes the place of Address. The Door closes
	// it.
	Listener net.Listener

	accepted chan acceptance
	closed   chan struct{}
	running  sync.WaitGroup // accept, and a serve for each turn
	fail     func(error)    // is told what ends unasked

	mu   sync.Mutex // guards what follows
	open bool
	now  *turn
	// servers are those that may have sessions; the one of now is the last.
	servers []*smtpserver.Server
}

// An acceptance is what a listener's Accept has returned.
type acceptance struct {
	conn net.Conn
	err  error
}

// listen opens the socket, but lets nobody in yet.
func (d *Door) listen() error {
	if d.Listener != nil {
		return nil
	}
	address := d.Address
	if address == "" {
		address = ":25"
		if d.Server.TLSMode == smtpserver.TLSImplicit {
			address = ":465"
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	d.Listener = l
	return nil
}

// serve lets connections in. What ends unasked is told to fail.
func (d *Door) serve(fail func(error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepted, d.closed, d.fail, d.open = make(chan acceptance), make(chan struct{}), fail, true
	d.running.Go(d.accept)
	d.begin(d.Server)
}

// accept hands every connection to whoever's turn it is.
func (d *Door) accept() {
	for {
		c, err := d.Listener.Accept()
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

// oldSessions is how long the sessions of a server that was replaced may go on.
// RFC 5321, 4.5.3.2.6 has a client wait as long for the answer to its data.
const oldSessions = 10 * time.Minute

// Replace puts srv behind the door, for all connections from now on. The
// server before keeps the sessions that it has: for ten minutes, since their
// limits are counted beside srv's, after which each is told 421 when it has no
// message in hand. A server serves once: srv must be a new one. An error says
// why it cannot serve, and nothing has changed then.
//
// Before the Gateway runs it only sets Server; when the door is closed it does
// nothing.
func (d *Door) Replace(srv *smtpserver.Server) error {
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
		return errors.New("gateway: Replace: the Server has served already")
	}
	d.now.end()
	d.running.Go(func() { d.retire(old) })
	d.servers = slices.DeleteFunc(d.servers, func(s *smtpserver.Server) bool {
		return s.Counters().Current == 0 && s.Close() == nil
	})
	d.begin(srv)
	return nil
}

// check says what keeps a server from serving.
func check(srv *smtpserver.Server) error {
	switch {
	case srv == nil:
		return errors.New("no Server")
	case srv.Handler == nil:
		return errors.New("the Server has no Handler: policy.Gate.Install sets it")
	}
	return srv.Validate()
}

// retire ends what sessions a server that was replaced still has when its time
// is over.
func (d *Door) retire(srv *smtpserver.Server) {
	late := time.NewTimer(oldSessions)
	defer late.Stop()
	select {
	case <-late.C:
		srv.Shutdown(context.Background()) // close cuts it short
	case <-d.closed:
	}
}

// begin gives srv its turn. d.mu is held.
func (d *Door) begin(srv *smtpserver.Server) {
	t := &turn{door: d, over: make(chan struct{}), left: make(chan struct{})}
	d.now, d.servers = t, append(d.servers, srv)
	d.running.Go(func() {
		defer close(t.left)
		if err := srv.Serve(t); !t.ended.Load() {
			d.fail(fmt.Errorf("gateway: %s: %w", d.Listener.Addr(), err))
		}
	})
}

// close shuts the socket, and ends the sessions of all servers.
func (d *Door) close(soft context.Context) error {
	d.mu.Lock()
	servers := d.servers
	if d.open {
		d.open = false
		close(d.closed)
		d.now.end()
	}
	d.mu.Unlock()
	err := d.Listener.Close()
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

// shut ends a server's sessions: gently while soft lasts, then hard.
func shut(soft context.Context, srv *smtpserver.Server) error {
	err := srv.Shutdown(soft)
	if err != nil {
		srv.Close() // waits for the sessions that were cut
	}
	return err
}

// A turn is a server's time at the door: the net.Listener that it serves.
type turn struct {
	door  *Door
	ended atomic.Bool // by the door
	once  sync.Once
	over  chan struct{} // closed when the turn is
	left  chan struct{} // closed when the server has left
}

// Accept ends with net.ErrClosed when the turn is over, as it would if the
// socket were closed.
func (t *turn) Accept() (net.Conn, error) {
	select {
	case a := <-t.door.accepted:
		return a.conn, a.err
	case <-t.over:
		return nil, net.ErrClosed
	}
}

// Close ends the turn. The socket stays.
func (t *turn) Close() error {
	t.once.Do(func() { close(t.over) })
	return nil
}

func (t *turn) Addr() net.Addr { return t.door.Listener.Addr() }

// end ends the turn and waits until the server has left.
func (t *turn) end() {
	t.ended.Store(true)
	t.Close()
	<-t.left
}
