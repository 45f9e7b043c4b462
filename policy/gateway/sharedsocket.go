package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// This file lets several Listeners share one socket: see Listener.RemoteNetworks.

// networksOf returns the networks of a listener in their canonical form. A listener
// without RemoteNetworks (nil) has all addresses.
func networksOf(all []netip.Prefix) (list []netip.Prefix, err error) {
	if all == nil {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}, nil
	}
	if len(all) == 0 {
		return nil, errors.New("is empty: no client could connect")
	}
	for _, p := range all {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if !p.IsValid() {
			return nil, errors.New("has an invalid network")
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// sockets returns the listeners of each socket.
func (g *Gateway) sockets() (sockets [][]*Listener) {
next:
	for _, d := range g.Listeners {
		for i, all := range sockets {
			if shares(d, all[0]) {
				sockets[i] = append(all, d)
				continue next
			}
		}
		sockets = append(sockets, []*Listener{d})
	}
	return sockets
}

// shares reports whether two listeners have one socket. Others with overlapping
// addresses are an error.
func shares(a, b *Listener) bool {
	if a.RemoteNetworks == nil && b.RemoteNetworks == nil {
		return false
	}
	if a.Socket != nil || b.Socket != nil {
		return a.Socket == b.Socket
	}
	p, err1 := a.place()
	q, err2 := b.place()
	return err1 == nil && err2 == nil && p.Port() != 0 && p == q && (p.Addr().IsValid() || a.Address == b.Address)
}

// validateShared checks the networks of the listeners that share the socket of l with
// it. earlier are the listeners before it, path is that of l.
func validateShared(f *findings, l *Listener, earlier []*Listener, path string) {
	own, err := networksOf(l.RemoteNetworks)
	if err != nil {
		f.add(Error, path+".RemoteNetworks", err.Error())
		return
	}
	for i, p := range own {
		if slices.Contains(own[:i], p) {
			f.add(Error, path+".RemoteNetworks", fmt.Sprintf("has %v twice", p))
		}
	}
	for j, other := range earlier {
		if !shares(l, other) {
			continue
		}
		theirs, _ := networksOf(other.RemoteNetworks)
		for _, p := range own {
			if slices.Contains(theirs, p) {
				f.add(Error, path+".RemoteNetworks", fmt.Sprintf("%s is also a network of Listeners[%d], on the same socket %s", networkName(p), j, l.address()))
			}
		}
	}
}

func networkName(p netip.Prefix) string {
	if p.Bits() == 0 {
		return "every address (" + p.String() + ")"
	}
	return p.String()
}

// share gives each of the listeners a part of their common socket.
func (g *Gateway) share(socket net.Listener, all []*Listener) {
	s := &sharedSocket{socket: socket, log: g.log, open: len(all)}
	byNetwork := new(bart.Table[*socketPart])
	for _, d := range all {
		p := &socketPart{shared: s, accepted: make(chan acceptance), closed: make(chan struct{})}
		s.parts = append(s.parts, p)
		networks, _ := networksOf(d.RemoteNetworks) // Validate has checked them
		for _, n := range networks {
			byNetwork.Insert(n, p)
		}
		s.implicit = s.implicit || d.server() != nil && d.server().TLSMode == smtpserver.TLSImplicit
		d.mu.Lock()
		d.Socket = p
		d.mu.Unlock()
	}
	s.byNetwork.Store(byNetwork)
	s.running.Go(s.accept)
}

// ReplaceNetworks replaces the networks of the Listeners while the relay runs, for new
// connections. networks has one element for each of Listeners, in their order, as
// [Listener.RemoteNetworks], which itself does not change. ReplaceNetworks returns an
// error and changes nothing if the networks are not valid (see [Gateway.Validate]), if
// a listener that had no networks and a socket of its own gets some, or if a listener
// is not open because the Gateway does not run.
func (g *Gateway) ReplaceNetworks(networks ...[]netip.Prefix) error {
	if len(networks) != len(g.Listeners) {
		return fmt.Errorf("gateway: ReplaceNetworks: %d lists of networks for %d listeners", len(networks), len(g.Listeners))
	}
	tables := make(map[*sharedSocket]*bart.Table[*socketPart])
	owners := make(map[*sharedSocket]map[netip.Prefix]int)
	for i, d := range g.Listeners {
		d.mu.Lock()
		part, shared := d.Socket.(*socketPart)
		open := d.open
		d.mu.Unlock()
		list, err := networksOf(networks[i])
		switch {
		case err != nil:
		case !open:
			err = errors.New("is not open")
		case !shared && networks[i] != nil:
			err = errors.New("had no networks at the start")
		}
		if err != nil {
			return fmt.Errorf("gateway: ReplaceNetworks: Listeners[%d] %w", i, err)
		}
		if !shared {
			continue
		}
		s := part.shared
		if tables[s] == nil {
			tables[s], owners[s] = new(bart.Table[*socketPart]), make(map[netip.Prefix]int)
		}
		for _, n := range list {
			if j, taken := owners[s][n]; taken {
				return fmt.Errorf("gateway: ReplaceNetworks: Listeners[%d]: %s is also a network of Listeners[%d]", i, networkName(n), j)
			}
			owners[s][n] = i
			tables[s].Insert(n, part)
		}
	}
	for s, t := range tables {
		s.byNetwork.Store(t)
	}
	return nil
}

// A sharedSocket passes each connection of a socket to the listener with the most
// specific network that has the client's address.
type sharedSocket struct {
	socket    net.Listener
	log       func(level slog.Level, text string, args ...any)
	implicit  bool // a client may expect TLS from the first byte
	parts     []*socketPart
	byNetwork atomic.Pointer[bart.Table[*socketPart]]
	running   sync.WaitGroup

	mu   sync.Mutex // guards open
	open int        // parts
}

// A socketPart is the net.Listener of one of the listeners.
type socketPart struct {
	shared   *sharedSocket
	accepted chan acceptance
	once     sync.Once
	closed   chan struct{}
}

func (p *socketPart) Accept() (net.Conn, error) {
	select {
	case a := <-p.accepted:
		return a.conn, a.err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *socketPart) Addr() net.Addr { return p.shared.socket.Addr() }

// Close ends Accept. The last Close closes the socket.
func (p *socketPart) Close() (err error) {
	p.once.Do(func() {
		close(p.closed)
		s := p.shared
		s.mu.Lock()
		s.open--
		last := s.open == 0
		s.mu.Unlock()
		if last {
			err = s.socket.Close()
			s.running.Wait()
		}
	})
	return err
}

// accept accepts connections until the socket is closed. An error goes to the server
// of one listener, which logs it and waits before it accepts again.
func (s *sharedSocket) accept() {
	for {
		c, err := s.socket.Accept()
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
			s.pass(s.anyPart(), acceptance{nil, err})
			return
		}
		if err != nil {
			s.pass(s.anyPart(), acceptance{nil, err})
			continue
		}
		if p := s.partOf(c); p != nil {
			s.pass(p, acceptance{c, nil})
		} else {
			s.refuse(c)
		}
	}
}

// pass gives an acceptance to a part, unless it is closed.
func (s *sharedSocket) pass(p *socketPart, a acceptance) {
	if p != nil {
		select {
		case p.accepted <- a:
			return
		case <-p.closed:
		}
	}
	if a.conn != nil {
		a.conn.Close()
	}
}

// anyPart returns a part that is not closed, or nil.
func (s *sharedSocket) anyPart() *socketPart {
	for _, p := range s.parts {
		select {
		case <-p.closed:
		default:
			return p
		}
	}
	return nil
}

// partOf returns the part for a client, or nil. A client without an IP address
// belongs to the part that has all addresses.
func (s *sharedSocket) partOf(c net.Conn) *socketPart {
	ip := netip.IPv4Unspecified()
	if a, is := c.RemoteAddr().(*net.TCPAddr); is {
		ip = a.AddrPort().Addr().Unmap().WithZone("")
	}
	p, _ := s.byNetwork.Load().Lookup(ip)
	return p
}

// refuse ends a connection for which no listener has a network.
func (s *sharedSocket) refuse(c net.Conn) {
	s.log(slog.LevelInfo, "no listener has the client's address", "address", s.Addr(), "client", c.RemoteAddr().String())
	if !s.implicit {
		c.SetWriteDeadline(time.Now().Add(time.Second)) // an empty buffer takes the line at once
		io.WriteString(c, "421 4.3.2 No service for your address\r\n")
	}
	c.Close()
}

// Addr returns the address of the socket as text.
func (s *sharedSocket) Addr() string { return s.socket.Addr().String() }
