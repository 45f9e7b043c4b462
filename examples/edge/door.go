package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A door is a listening socket that outlives the servers behind it: one takes
// over from the other, and between them nobody is turned away, since the
// system holds connections until they are accepted. It belongs to the
// goroutine that runs the gateway.
type door struct {
	socket *net.TCPListener
	failed chan<- error

	shift  *shift
	served chan struct{} // closed when the server of now has left the socket
	// The server of now is the last; the others have sessions to end.
	servers []*smtpserver.Server
}

func openDoor(addr string, failed chan<- error) (*door, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &door{socket: l.(*net.TCPListener), failed: failed}, nil
}

// serve puts srv behind the door. The server before keeps the sessions that
// it has.
func (d *door) serve(srv *smtpserver.Server) {
	d.leave()
	d.servers = slices.DeleteFunc(d.servers, func(s *smtpserver.Server) bool { return s.Counters().Current == 0 })
	d.servers = append(d.servers, srv)
	shift, served := &shift{TCPListener: d.socket}, make(chan struct{})
	d.shift, d.served = shift, served
	go func() {
		defer close(served)
		if err := srv.Serve(shift); !errors.Is(err, net.ErrClosed) && !errors.Is(err, smtpserver.ErrServerClosed) {
			d.failed <- err
		}
	}()
}

// leave takes the server of now away from the socket.
func (d *door) leave() {
	if d.shift != nil {
		d.shift.Close()
		<-d.served
		d.socket.SetDeadline(time.Time{})
		d.shift = nil
	}
}

// A shift is a server's turn at the socket.
type shift struct {
	*net.TCPListener
	over atomic.Bool
}

// Accept ends with net.ErrClosed when the shift is over, as it would if the
// socket were closed.
func (s *shift) Accept() (net.Conn, error) {
	c, err := s.TCPListener.Accept()
	if err != nil && s.over.Load() {
		return nil, net.ErrClosed
	}
	return c, err
}

// Close ends the shift: Accept returns. The socket stays.
func (s *shift) Close() error {
	s.over.Store(true)
	return s.SetDeadline(time.Unix(1, 0))
}

// close shuts the socket, and ends the sessions of all servers when what they
// have in hand is finished, or after the time.
func (d *door) close(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d.leave()
	errs := make(chan error, len(d.servers))
	for _, srv := range d.servers {
		go func() { errs <- srv.Shutdown(ctx) }()
	}
	err := d.socket.Close()
	for range d.servers {
		err = errors.Join(err, <-errs)
	}
	return err
}
