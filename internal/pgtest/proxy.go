//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
)

// A Proxy is between one node and the server. It cuts connections, all of them or one
// at an exact message of the protocol (see fault.go), and it can stall. Clients reach
// it by a unix socket.
type Proxy struct {
	dir string
	l   net.Listener
	wg  sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	target *Server
	closed bool
	down   bool
	links  map[*link]bool
	faults []*Fault
	gate   chan struct{} // closed: bytes pass; open: they wait
}

// Proxy starts a proxy to s.
func (s *Server) Proxy(t testing.TB) *Proxy {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "pgproxy") // short, unlike t.TempDir
	check(t, err)
	check(t, os.Chmod(dir, 0o755))
	l, err := net.Listen("unix", dir+"/.s.PGSQL.5432")
	check(t, err)
	check(t, os.Chmod(dir+"/.s.PGSQL.5432", 0o777))
	p := &Proxy{dir: dir, l: l, target: s, links: make(map[*link]bool), gate: make(chan struct{})}
	close(p.gate)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.close()
		os.RemoveAll(dir)
	})
	return p
}

// URL returns the URL of a database through the proxy.
func (p *Proxy) URL(socketURL string) string {
	return fmt.Sprintf("postgres://%s@/%s?host=%s&port=5432", User, database(socketURL), url.QueryEscape(p.dir))
}

// CutAll closes all connections. New ones are possible.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// Down closes all connections and refuses new ones, until Up.
func (p *Proxy) Down() {
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	p.CutAll()
}

// Up ends a Down.
func (p *Proxy) Up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// Stall lets no byte pass and closes nothing, as a network that loses all packets
// does, until Continue.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default: // it is stalled already
	}
}

// Continue ends a Stall. The bytes that have waited pass now.
func (p *Proxy) Continue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.continues()
}

// continues is Continue with the lock.
func (p *Proxy) continues() {
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// Target sends new connections to another server, and closes the others.
func (p *Proxy) Target(s *Server) {
	p.mu.Lock()
	p.target = s
	p.mu.Unlock()
	p.CutAll()
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.continues()
	p.mu.Unlock()
	p.l.Close()
	p.CutAll()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve connects a client with the server until one of them ends.
func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.wait()
	p.mu.Lock()
	target, down := p.target, p.down
	p.mu.Unlock()
	if down {
		return
	}
	server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", fmt.Sprintf("%s/.s.PGSQL.%d", target.dir, target.port))
	if err != nil {
		return
	}
	defer server.Close()
	l := &link{proxy: p, client: client, server: server, statements: make(map[string]string)}
	if !p.add(l) {
		return
	}
	defer p.remove(l)
	var both sync.WaitGroup
	both.Go(func() { l.requests(); l.close() })
	both.Go(func() { l.answers(); l.close() })
	both.Wait()
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.down {
		return false
	}
	p.links[l] = true
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// wait waits while the proxy is stalled.
func (p *Proxy) wait() {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	<-gate
}

// write writes b when the proxy is not stalled.
func (p *Proxy) write(w io.Writer, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	p.wait()
	_, err := w.Write(b)
	return err
}

var errCut = errors.New("cut by a fault")
