package routing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// An internet is a set of mail hosts with their own addresses. The dialer of
// the transport connects to them. All other addresses refuse connections.
type internet struct {
	dns *dnstest.Server

	mu    sync.Mutex
	hosts map[string]*mailHost // by "192.0.2.1:25"
	dials []string
}

// A mailHost is a test mail server.
type mailHost struct {
	name string
	addr string // where it really listens

	mu       sync.Mutex
	refuse   *smtp.SMTPError // at MAIL
	sessions int
	helo     string   // of the last session
	sender   string   // of the last message
	got      []string // recipients
	users    []string // who authenticated
}

func newInternet(t *testing.T, zone string) *internet {
	t.Helper()
	s, err := dnstest.InMemory(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &internet{dns: s, hosts: map[string]*mailHost{}}
}

// host starts a mail host that is reached at an address.
func (n *internet) host(t *testing.T, addr string) *mailHost {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &mailHost{name: addr, addr: l.Addr().String()}
	srv := smtp.NewServer(h)
	srv.Domain = "host.test"
	srv.ErrorLog = log.New(io.Discard, "", 0) // clients that leave without QUIT are no news
	srv.AllowInsecureAuth = true
	var served sync.WaitGroup
	served.Go(func() { srv.Serve(l) })
	t.Cleanup(func() { srv.Close(); served.Wait() })
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr] = h
	return h
}

func (n *internet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	h := n.hosts[addr]
	n.dials = append(n.dials, addr)
	n.mu.Unlock()
	if h == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return new(net.Dialer).DialContext(ctx, "tcp", h.addr)
}

// router returns a router whose connectors use this internet.
func (n *internet) router(t *testing.T, connectors ...Connector) *Router {
	t.Helper()
	return n.siteRouter(t, Site{}, connectors...)
}

func (n *internet) siteRouter(t *testing.T, site Site, connectors ...Connector) *Router {
	t.Helper()
	for i := range connectors {
		if connectors[i].Transport == nil {
			connectors[i].Transport = SMTP(&smtpclient.Transport{Name: connectors[i].Name, Hostname: "relay.test",
				DialContext: n.dial, AllowInsecureAuth: true, HostDownTime: -1})
		}
	}
	tb, err := site.NewTable(connectors...)
	if err != nil {
		t.Fatal(err)
	}
	r := &Router{Table: tb, Hostname: "relay.test",
		Resolver: &DNSResolver{Servers: []string{"ns"}, Dial: n.dns.Dial, MaxEntries: -1}}
	t.Cleanup(func() { r.Close() })
	return r
}

// send routes and delivers a message as a queue would.
func send(t *testing.T, r *Router, to ...string) []queue.Result {
	t.Helper()
	m := &queue.Message{ID: "m1", From: "alice@example.com", Content: queue.String("Subject: x\r\n\r\nhello\r\n")}
	results := make([]queue.Result, len(to))
	for i, rcpt := range queue.Rcpt(to...) {
		hop, err := r.Route(t.Context(), m, rcpt)
		if err != nil {
			results[i] = errorResult(err)
			continue
		}
		results[i] = r.Deliver(t.Context(), hop, m, []*queue.Recipient{rcpt})[0]
	}
	return results
}

func (h *mailHost) NewSession(c *smtp.Conn) (smtp.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.helo = c.Hostname()
	h.sessions++
	return &hostSession{h: h}, nil
}

type hostSession struct {
	h     *mailHost
	rcpts []string
}

func (s *hostSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *hostSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "wonderland" {
			return errors.New("wrong password")
		}
		s.h.mu.Lock()
		defer s.h.mu.Unlock()
		s.h.users = append(s.h.users, user)
		return nil
	}), nil
}

func (s *hostSession) Mail(from string, _ *smtp.MailOptions) error {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.sender = from
	if s.h.refuse != nil {
		return s.h.refuse
	}
	return nil
}

func (s *hostSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "unknown@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.rcpts = append(s.rcpts, to)
	return nil
}

func (s *hostSession) Data(r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.got = append(s.h.got, s.rcpts...)
	return nil
}

func (s *hostSession) Reset()        { s.rcpts = nil }
func (s *hostSession) Logout() error { return nil }

func (h *mailHost) received() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.got, " ")
}

const internetZone = `
	example.net.      MX 10 mx1.example.net.
	example.net.      MX 20 mx2.example.net.
	mx1.example.net.  A  192.0.2.1
	mx1.example.net.  A  192.0.2.2
	mx2.example.net.  A  192.0.2.3
	plain.example.    A  192.0.2.4
	null.example.     MX 0 .
	mine.example.     MX 0 relay.test.
	relay.test.       A  192.0.2.100
	hub.example.      A  10.0.0.1
`

func TestDeliveryByMX(t *testing.T) {
	n := newInternet(t, internetZone)
	first, second, plain := n.host(t, "192.0.2.2:25"), n.host(t, "192.0.2.3:25"), n.host(t, "192.0.2.4:25")
	n.dns.Fault("broken.example", "", dnstest.Fault{Rcode: 2})
	r := n.router(t, Connector{Name: "internet", Spaces: []string{"*"}})
	for _, c := range []struct {
		to, reply string
		outcome   queue.Outcome
	}{
		{"a@example.net", "250 2.0.0", queue.Success}, // mx1 has one address that is dead
		{"b@plain.example", "250 2.0.0", queue.Success},
		{"unknown@plain.example", "550 5.1.1", queue.Failure},
		{"c@null.example", "556 5.1.10", queue.Failure},
		{"c@nowhere.example", "550 5.1.2", queue.Failure},
		{"c@broken.example", "451 4.4.3", queue.Unreachable},
		{"c@mine.example", "550 5.4.6", queue.Failure},
	} {
		got := send(t, r, c.to)[0]
		if got.Outcome != c.outcome || code(&got.Reply) != c.reply {
			t.Errorf("%s: %d %s %s (%v), want %d %s", c.to, got.Outcome, code(&got.Reply), got.Reply.Message, got.Err, c.outcome, c.reply)
		}
	}
	if first.received() != "a@example.net" || second.received() != "" || plain.received() != "b@plain.example" {
		t.Errorf("received: %q, %q, %q", first.received(), second.received(), plain.received())
	}
}

func TestBackupMXHost(t *testing.T) {
	n := newInternet(t, internetZone)
	backup := n.host(t, "192.0.2.3:25")
	r := n.router(t, Connector{Name: "internet", Spaces: []string{"*"}})
	got := send(t, r, "a@example.net")[0]
	if got.Outcome != queue.Success || got.Host != "mx2.example.net" || backup.received() != "a@example.net" {
		t.Errorf("%+v", got)
	}
	if want := []string{"192.0.2.1:25", "192.0.2.2:25"}; !slices.Contains(n.dials, want[0]) || !slices.Contains(n.dials, want[1]) {
		t.Errorf("dialled %v: not all addresses of the first host", n.dials)
	}
}

func TestAllHostsUnreachable(t *testing.T) {
	n := newInternet(t, internetZone)
	r := n.router(t, Connector{Name: "internet", Spaces: []string{"*"}})
	got := send(t, r, "a@example.net")[0]
	if got.Outcome != queue.Unreachable || code(&got.Reply) != "451 4.4.1" {
		t.Errorf("%+v", got)
	}
}

func TestSmartHostWithPassword(t *testing.T) {
	n := newInternet(t, internetZone)
	hub := n.host(t, "10.0.0.1:587")
	connector := Connector{Name: "hub", Spaces: []string{"*"}, SmartHosts: SmartHosts("hub.example:587")}
	connector.Auth = smtpclient.PasswordAuth("alice", "wonderland")
	connector.TLS = &smtpclient.TLSPolicy{Level: smtpclient.TLSNone}
	r := n.router(t, connector)
	for i := range 3 {
		if got := send(t, r, fmt.Sprintf("u%d@example.net", i))[0]; got.Outcome != queue.Success {
			t.Fatalf("%+v", got)
		}
	}
	if hub.sessions != 1 || !slices.Equal(hub.users, []string{"alice"}) {
		t.Errorf("%d sessions, authenticated as %v", hub.sessions, hub.users)
	}
	connector.Auth = smtpclient.PasswordAuth("alice", "looking-glass")
	connector.Transport = nil
	got := send(t, n.router(t, connector), "u@example.net")[0]
	if got.Outcome != queue.Unreachable || strings.Contains(fmt.Sprint(got), "looking-glass") {
		t.Errorf("with a wrong password: %+v", got)
	}
}

func TestSmartHostsFailOverAndBalance(t *testing.T) {
	n := newInternet(t, internetZone)
	a, b := n.host(t, "10.0.0.1:25"), n.host(t, "10.0.0.2:25")
	r := n.router(t, Connector{Name: "hub", Spaces: []string{"*"},
		SmartHosts: SmartHosts("[10.0.0.1]", "[10.0.0.2]", "[10.0.0.3]"),
		Transport:  SMTP(&smtpclient.Transport{DialContext: n.dial, MaxIdle: -1, HostDownTime: -1})})
	for i := range 40 {
		if got := send(t, r, fmt.Sprintf("u%d@example.net", i))[0]; got.Outcome != queue.Success {
			t.Fatalf("%+v", got)
		}
	}
	if len(a.got) < 5 || len(b.got) < 5 || len(a.got)+len(b.got) != 40 {
		t.Errorf("shares of %d and %d", len(a.got), len(b.got))
	}
}

func TestDirectFirst(t *testing.T) {
	n := newInternet(t, internetZone)
	plain, hub := n.host(t, "192.0.2.4:25"), n.host(t, "10.0.0.1:25")
	r := n.router(t, Connector{Name: "c", Spaces: []string{"*"}, DirectFirst: true, SmartHosts: SmartHosts("hub.example")})
	for to, want := range map[string]*mailHost{
		"a@plain.example":   plain,
		"b@example.net":     hub, // its hosts are dead
		"c@nowhere.example": hub, // not in our DNS
	} {
		if got := send(t, r, to)[0]; got.Outcome != queue.Success || !strings.Contains(want.received(), to) {
			t.Errorf("%s: %+v", to, got)
		}
	}
	if got := send(t, r, "unknown@plain.example")[0]; got.Outcome != queue.Failure || strings.Contains(hub.received(), "unknown") {
		t.Errorf("a refusal is final: %+v", got)
	}
}

func TestLiteralsByDNSConnector(t *testing.T) {
	n := newInternet(t, internetZone)
	a, b := n.host(t, "192.0.2.9:25"), n.host(t, "192.0.2.9:2525")
	r := n.router(t, Connector{Name: "c", Spaces: []string{"*"}})
	if got := send(t, r, "a@[192.0.2.9]")[0]; got.Outcome != queue.Success || a.received() != "a@[192.0.2.9]" {
		t.Errorf("%+v", got)
	}
	m := &queue.Message{From: "a@example.com", Content: queue.String("x\r\n")}
	for _, hop := range []queue.NextHop{{Connector: "c", Destination: "[192.0.2.9]:2525"}, {Destination: "[192.0.2.9]:2525"}} { // an operator's redirection
		if got := r.Deliver(t.Context(), hop, m, queue.Rcpt("b@example.net"))[0]; got.Outcome != queue.Success {
			t.Errorf("%+v", got)
		}
	}
	if b.received() != "b@example.net b@example.net" {
		t.Errorf("received %s", b.received())
	}
}

func TestPortOfDNSConnectors(t *testing.T) {
	n := newInternet(t, internetZone)
	h := n.host(t, "192.0.2.4:2525")
	r := n.router(t, Connector{Name: "c", Spaces: []string{"*"}, Port: 2525})
	if got := send(t, r, "a@plain.example")[0]; got.Outcome != queue.Success || h.received() == "" {
		t.Errorf("%+v", got)
	}
}

func TestDefaultTransport(t *testing.T) {
	h := newInternet(t, internetZone).host(t, "x")
	made := ""
	r := &Router{Hostname: "relay.test", NewTransport: func(name string) *smtpclient.Transport {
		made += name
		return &smtpclient.Transport{Name: name}
	}, Table: table(t, Connector{Name: "c", Spaces: []string{"*"},
		SmartHosts: SmartHosts("[127.0.0.1]" + h.addr[strings.LastIndex(h.addr, ":"):])})}
	defer r.Close()
	if got := send(t, r, "a@example.net")[0]; got.Outcome != queue.Success || h.received() != "a@example.net" {
		t.Errorf("%+v", got)
	}
	if h.helo != "relay.test" { // the transport has no name, the router has
		t.Errorf("EHLO %s", h.helo)
	}
	r.SetTable(table(t, Connector{Name: "d", Spaces: []string{"*"}}))
	if len(r.own) != 0 || made != "c" {
		t.Error("the transport of a connector that is gone stays")
	}
}
