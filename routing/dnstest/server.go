package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A Server answers DNS queries over UDP and TCP on one address. Its methods
// are safe for concurrent use, also while it answers.
type Server struct {
	// Addr is the address of the server, "127.0.0.1:port", for UDP and TCP.
	Addr string

	udp, tcp *dns.Server
	done     chan struct{} // closed by Close
	closed   sync.Once
	serving  sync.WaitGroup

	mu     sync.Mutex // guards zone, faults and counts
	zone   zone
	faults []*fault
	counts map[question]int
}

// A question is the key of counts and faults.
type question struct {
	name  string // canonical: lower case, with the dot at the end
	qtype uint16 // dns.TypeANY for a fault of all types
}

// Start starts a server on a free port of 127.0.0.1 with the records in zones.
// An error means that the records are not valid or the port cannot be opened.
func Start(zones ...string) (*Server, error) { return Listen("127.0.0.1:0", zones...) }

// Listen is like Start, but on the given address. Port 0 means a port that is
// free for both UDP and TCP.
func Listen(addr string, zones ...string) (*Server, error) {
	s, err := script(zones)
	if err != nil {
		return nil, err
	}
	pc, l, err := listenBoth(addr)
	if err != nil {
		return nil, fmt.Errorf("dnstest: %w", err)
	}
	s.Addr = pc.LocalAddr().String()
	s.udp = &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(s.serve)}
	s.tcp = &dns.Server{Listener: l, Handler: dns.HandlerFunc(s.serve)}
	for _, d := range []*dns.Server{s.udp, s.tcp} {
		started := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		s.serving.Go(func() { d.ActivateAndServe() })
		<-started
	}
	return s, nil
}

// InMemory returns a server without a socket. Use its Dial to connect to it.
// Tests in a testing/synctest bubble need this.
func InMemory(zones ...string) (*Server, error) { return script(zones) }

// TB is the part of testing.TB that New uses.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// New is like Start, for a test. It fails the test on an error and closes the
// server when the test ends.
func New(t TB, zones ...string) *Server {
	t.Helper()
	s, err := Start(zones...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func script(zones []string) (*Server, error) {
	s := &Server{done: make(chan struct{}), zone: zone{}, counts: make(map[question]int)}
	for _, text := range zones {
		if err := s.Add(text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// listenBoth finds a port that is free for UDP and TCP.
func listenBoth(addr string) (net.PacketConn, net.Listener, error) {
	var err error
	for range 20 {
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err != nil {
			return nil, nil, err
		}
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			return pc, l, nil
		}
		l.Close() // in use for UDP: try another port
	}
	return nil, nil, err
}

// Close stops the server. Queries that wait for a Delay get no answer.
func (s *Server) Close() error {
	s.closed.Do(func() {
		close(s.done)
		for _, d := range []*dns.Server{s.udp, s.tcp} {
			if d != nil {
				d.Shutdown()
			}
		}
	})
	s.serving.Wait()
	return nil
}

// Dial returns an in-memory connection to the server; it ignores addr. Use it
// as routing.DNSResolver.Dial. Messages are framed as over TCP.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	client, server := net.Pipe()
	s.serving.Go(func() {
		stop := make(chan struct{})
		defer close(stop)
		s.serving.Go(func() {
			select {
			case <-s.done:
			case <-stop:
			}
			server.Close()
		})
		w := &pipeWriter{Conn: &dns.Conn{Conn: server}, packet: network == "udp"}
		for {
			q, err := w.ReadMsg()
			if err != nil {
				return
			}
			s.serve(w, q)
		}
	})
	return client, nil
}

// pipeWriter is the dns.ResponseWriter of an in-memory connection.
type pipeWriter struct {
	*dns.Conn
	packet bool
}

func (w *pipeWriter) LocalAddr() net.Addr {
	if w.packet {
		return &net.UDPAddr{}
	}
	return &net.TCPAddr{}
}

func (w *pipeWriter) TsigStatus() error   { return nil }
func (w *pipeWriter) TsigTimersOnly(bool) {}
func (w *pipeWriter) Hijack()             {}

// serve answers one query.
func (s *Server) serve(w dns.ResponseWriter, q *dns.Msg) {
	if len(q.Question) != 1 {
		dns.HandleFailed(w, q)
		return
	}
	_, packet := w.LocalAddr().(*net.UDPAddr)
	reply, f := s.reply(q)
	if s.delay(context.Background(), f) != nil {
		return
	}
	if f.Drop || f.NoTCP && !packet {
		if !packet {
			w.Close()
		}
		return
	}
	if err := f.apply(reply, packet); err != nil {
		if raw := (*malformed)(nil); errors.As(err, &raw) && len(raw.message) > 0 {
			w.Write(raw.message)
		}
		return
	}
	if packet && !f.Oversize {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	w.WriteMsg(reply) // an error means that the client has closed the connection
}

// reply counts a query and returns the reply from the records, and the fault
// that applies to it.
func (s *Server) reply(q *dns.Msg) (*dns.Msg, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := question{dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype}
	s.counts[what]++
	return s.zone.answer(q), s.fault(what, q.IsEdns0() != nil)
}

// delay waits for the delay of a fault. It returns an error if there will be no
// answer.
func (s *Server) delay(ctx context.Context, f Fault) error {
	if f.Delay <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(f.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.done:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Count returns the number of queries for name. qtype is "MX", "A", ..., or ""
// for all types.
func (s *Server) Count(name, qtype string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for q, c := range s.counts {
		if q.name == canonical(name) && (qtype == "" || q.qtype == dns.StringToType[qtype]) {
			n += c
		}
	}
	return n
}

func canonical(name string) string { return dns.CanonicalName(dns.Fqdn(name)) }
