package gateway

import (
	"net"
	"sync"
)

// Ready returns a channel that is closed when the relay runs: all sockets are
// open, and the queue delivers. From then on [Listener.Addr] returns the
// addresses, and the program may use the Queue. If Run fails before, the channel
// stays open, so wait for the end of Run too:
//
//	ended := make(chan error, 1)
//	go func() { ended <- relay.Run(ctx) }()
//	select {
//	case <-relay.Ready():
//	case err := <-ended:
//		return err
//	}
//
// Ready may be called at any time.
func (g *Gateway) Ready() <-chan struct{} { return g.ready.done() }

// Addr returns the address that the Listener listens on, or nil before its
// socket is open. If the port in Address is 0, it has the port that the system
// has chosen. See [Gateway.Ready].
func (d *Listener) Addr() net.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Socket == nil {
		return nil
	}
	return d.Socket.Addr()
}

// An event is something that happens once. The zero value means that it has not
// happened.
type event struct {
	mu       sync.Mutex // guards the fields below
	ch       chan struct{}
	happened bool
}

// done returns a channel that is closed when it has happened.
func (s *event) done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channel()
}

func (s *event) channel() chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// set makes it happen.
func (s *event) set() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.happened {
		s.happened = true
		close(s.channel())
	}
}
