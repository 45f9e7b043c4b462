package policy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const ownGreeting = "220 relay.example.com "

// listenLocal calls serve for each connection, until the test ends.
func listenLocal(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(peers.Serve(t, serve))
}

// greeter is a mail server that sends its greeting and waits until the client
// closes.
func greeter(t *testing.T) netip.AddrPort {
	return listenLocal(t, func(c net.Conn) {
		io.WriteString(c, ownGreeting+"ESMTP\r\n")
		io.Copy(io.Discard, c)
	})
}

// relayTo copies bytes between a client and the target.
func relayTo(c io.ReadWriter, target, granted, refused string) {
	far, err := net.Dial("tcp", target)
	if err != nil {
		io.WriteString(c, refused)
		return
	}
	defer far.Close()
	io.WriteString(c, granted)
	go func() {
		io.Copy(far, c)
		far.Close()
	}()
	io.Copy(c, far)
}

// socks4 is an open proxy.
func socks4(c net.Conn) {
	r := bufio.NewReader(c)
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || head[0] != 4 || head[1] != 1 {
		return
	}
	if _, err := r.ReadString(0); err != nil {
		return
	}
	target := netip.AddrPortFrom(netip.AddrFrom4([4]byte(head[4:])), binary.BigEndian.Uint16(head[2:]))
	relayTo(c, target.String(), "\x00\x5a\x00\x00\x00\x00\x00\x00", "\x00\x5b\x00\x00\x00\x00\x00\x00")
}

// socks5 is an open proxy that replies with the given bound address.
func socks5(bound string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		var hello [3]byte
		if _, err := io.ReadFull(r, hello[:]); err != nil || hello != [3]byte{5, 1, 0} {
			return
		}
		io.WriteString(c, "\x05\x00")
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		ip := make([]byte, map[byte]int{1: 4, 4: 16}[head[3]])
		var port [2]byte
		io.ReadFull(r, ip)
		io.ReadFull(r, port[:])
		a, _ := netip.AddrFromSlice(ip)
		target := netip.AddrPortFrom(a, binary.BigEndian.Uint16(port[:]))
		relayTo(c, target.String(), "\x05\x00\x00"+bound+"\x04\x00", "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00")
	}
}

// httpProxy is an open proxy that uses the server of net/http.
func httpProxy(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		relayTo(c, r.Host, "HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n\r\n")
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// home is the address of the clients in the tests. atHome allows probes of it.
var home = netip.MustParseAddr("127.0.0.1")

func atHome(ip netip.Addr) bool { return ip == home }

// probeOf is a probe of one port of home.
func probeOf(target netip.AddrPort, protocol ProxyProtocol, at netip.AddrPort) *ProxyProbe {
	return &ProxyProbe{Target: target, Greeting: ownGreeting, Ports: []ProxyPort{{protocol, at.Port()}}, may: atHome}
}

func TestOpenProxy(t *testing.T) {
	target := greeter(t)
	web := httpProxy(t)
	answer := func(text string) netip.AddrPort {
		return listenLocal(t, func(c net.Conn) {
			io.WriteString(c, text)
			io.Copy(io.Discard, c)
		})
	}
	for _, tt := range []struct {
		name     string
		protocol ProxyProtocol
		at       netip.AddrPort
		open     bool
	}{
		{"SOCKS4", SOCKS4, listenLocal(t, socks4), true},
		{"SOCKS5", SOCKS5, listenLocal(t, socks5("\x01\x7f\x00\x00\x01")), true},
		{"SOCKS5, bound to an IPv6 address", SOCKS5, listenLocal(t, socks5("\x04"+strings.Repeat("\x00", 16))), true},
		{"SOCKS5, bound to a name", SOCKS5, listenLocal(t, socks5("\x03\x05proxy")), true},
		{"SOCKS5, invalid bound address", SOCKS5, listenLocal(t, socks5("\x09\x00")), false},
		{"HTTP", HTTPConnect, web, true},
		{"HTTP asked as SOCKS4", SOCKS4, web, false},
		{"HTTP asked as SOCKS5", SOCKS5, web, false},
		{"SOCKS asked as HTTP", HTTPConnect, listenLocal(t, socks4), false},
		{"no listener", SOCKS5, netip.MustParseAddrPort("127.0.0.1:1"), false},
		{"a mail server", SOCKS4, target, false},
		{"a web server that accepts every request", HTTPConnect, answer("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>220 is no greeting of ours"), false},
		{"a proxy that wants a password", HTTPConnect, answer("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), false},
		{"a SOCKS proxy that wants a password", SOCKS5, answer("\x05\xff"), false},
		{"a proxy that connects to another host", SOCKS4, answer("\x00\x5a\x00\x00\x00\x00\x00\x00220 mx.example.net ESMTP\r\n"), false},
		{"an echo", SOCKS5, listenLocal(t, func(c net.Conn) { io.Copy(c, c) }), false},
		{"a server that closes the connection", SOCKS5, listenLocal(t, func(c net.Conn) { io.WriteString(c, "\x05") }), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := probeOf(target, tt.protocol, tt.at)
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			p.Timeout = 20 * time.Second
			if !tt.open {
				p.Timeout = 200 * time.Millisecond // some clients wait for the greeting
			}
			port, open := p.Test(t.Context(), netip.MustParseAddr("::ffff:127.0.0.1"))
			if open != tt.open || open && port != p.Ports[0] {
				t.Errorf("%v, %v; want %v", port, open, tt.open)
			}
		})
	}
	// A proxy that cannot connect to this server is not open.
	gone := target
	gone = netip.AddrPortFrom(gone.Addr(), 1)
	if _, open := probeOf(gone, HTTPConnect, web).Test(t.Context(), home); open {
		t.Error("open although the target was not reached")
	}
}

// The probe stops reading if a peer sends data without end.
func TestOpenProxyThatSendsWithoutEnd(t *testing.T) {
	wrote := make(chan int, 1)
	noise := listenLocal(t, func(c net.Conn) {
		n := 0
		for line := "HTTP/1.1 200 OK\r\n"; ; line = "X-Noise: " + strings.Repeat("x", 50) + "\r\n" {
			m, err := io.WriteString(c, line)
			n += m
			if err != nil {
				wrote <- n
				return
			}
		}
	})
	p := probeOf(greeter(t), HTTPConnect, noise)
	p.Timeout = time.Minute
	if _, open := p.Test(t.Context(), home); open {
		t.Error("open")
	}
	<-wrote // closed long before the Timeout
}

// A client cannot make the server connect to a host in its own network.
func TestOpenProxyOnlyInPublic(t *testing.T) {
	p := &ProxyProbe{Target: netip.MustParseAddrPort("8.8.8.8:25"), Greeting: ownGreeting}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	for ip, want := range map[string]bool{
		"8.8.8.8": true, "::ffff:8.8.8.8": true, "2600::1": true, "2a00:1450::1": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "::": false,
		"10.1.2.3": false, "172.16.0.1": false, "192.168.0.1": false, "fc00::1": false, "fd12::1": false,
		"169.254.169.254": false, "fe80::1": false, "100.64.0.1": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
		"240.0.0.1": false, "192.0.2.1": false, "2001:db8::1": false,
		"64:ff9b::a00:1": false, "2002:a00:1::1": false, "2001::1": false, "::10.0.0.1": false, "fec0::1": false,
	} {
		if inPublic(netip.MustParseAddr(ip)) != want {
			t.Errorf("%s: %v", ip, !want)
		}
		if !want {
			if _, open := p.Test(t.Context(), netip.MustParseAddr(ip)); open {
				t.Errorf("%s is probed", ip)
			}
			p.start(netip.MustParseAddr(ip), nil)
		}
	}
	if n := len(p.probed.m); n != 0 {
		t.Errorf("%d clients may be probed", n)
	}
	if inPublic(netip.Addr{}) {
		t.Error("no address is probed")
	}
}

// Concurrency limits the probes at the same time, and Interval the probes of
// one client. Close waits for the running probes, and no probe starts after it.
func TestOpenProxyIsBounded(t *testing.T) {
	asked := make(chan struct{}, 100)
	silent := listenLocal(t, func(c net.Conn) {
		asked <- struct{}{}
		io.Copy(io.Discard, c)
	})
	p := probeOf(greeter(t), HTTPConnect, silent)
	p.Timeout, p.Concurrency, p.Max = time.Hour, 3, 10
	p.may = func(ip netip.Addr) bool { return ip.IsLoopback() }
	for i := range 50 {
		p.start(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i)}), func() { t.Error("a client that sends nothing counts as a proxy") })
	}
	<-asked // of home; on some systems no program listens on the other addresses
	p.mu.Lock()
	if n := len(p.cancel); n == 0 || n > 3 {
		t.Errorf("%d probes at the same time, want at most 3", n)
	}
	p.mu.Unlock()
	now := time.Now()
	p.mu.Lock()
	for i := range 100 {
		p.due(netip.AddrFrom4([4]byte{8, 8, 8, byte(i)}), now)
	}
	if n := len(p.probed.m); n > 10 {
		t.Errorf("%d clients are stored, Max is 10", n)
	}
	other := netip.MustParseAddr("8.8.4.4")
	if !p.due(other, now) || p.due(other, now.Add(23*time.Hour)) || !p.due(other, now.Add(25*time.Hour)) {
		t.Error("not probed again after 24 h")
	}
	p.mu.Unlock()
	p.Close()
	if len(p.cancel) != 0 {
		t.Error("Close did not wait")
	}
	p.start(home, nil)
	if len(p.cancel) != 0 {
		t.Error("a probe after Close")
	}
}

// The result of the probe changes the level of the client.
func TestReputationOfOpenProxies(t *testing.T) {
	var log bytes.Buffer
	p := probeOf(greeter(t), SOCKS5, listenLocal(t, socks5("\x01\x7f\x00\x00\x01")))
	p.Logger = slog.New(slog.NewTextHandler(&log, nil))
	ds := mustDomains(t, Domain{Name: "example.com", Directory: Recipients("alice")})
	r := &Reputation{ProxyProbe: p, Domains: ds}
	relay := &Relay{Domains: ds}
	srv := serve(t, &smtpserver.Server{Agents: []smtpserver.Agent{relay.Agent(), r.Agent()}})
	// A client without bad points is not probed.
	srv.Talk(t, home.String(), mailHeader("x@example.net", "Subject: x", "250"))
	p.mu.Lock()
	if len(p.probed.m) != 0 {
		t.Error("probed without cause")
	}
	p.mu.Unlock()
	srv.Talk(t, home.String(), rcptTo("x@example.net", "nobody@example.com", "550 5.1.1"))
	p.wg.Wait() // wait for the probe
	if !r.blocked(home, time.Now()) {
		t.Errorf("an open proxy has level %d", r.Level(home))
	}
	srv.Talk(t, home.String(), mailFrom("x@example.net", "550 5.7.1"))
	if !strings.Contains(log.String(), "SOCKS5 on port") {
		t.Errorf("log %q", log.String())
	}
	p.Close()
}

func TestOpenProxySettings(t *testing.T) {
	good := netip.MustParseAddrPort("8.8.8.8:25")
	for _, tt := range []struct {
		p    *ProxyProbe
		want string
	}{
		{&ProxyProbe{Greeting: ownGreeting}, "Target must be set"},
		{&ProxyProbe{Target: netip.MustParseAddrPort("10.0.0.1:25"), Greeting: ownGreeting}, "10.0.0.1:25 is not an address of the public"},
		{&ProxyProbe{Target: good}, "Greeting must be"},
		{&ProxyProbe{Target: good, Greeting: "220 "}, "Greeting must be"},
		{&ProxyProbe{Target: good, Greeting: ownGreeting, Ports: []ProxyPort{{"Gopher", 70}}}, "no such protocol or port: Gopher on port 70"},
	} {
		g := &Gate{Queue: new(outbox), Reputation: &Reputation{ProxyProbe: tt.p}}
		if err := g.Install(new(smtpserver.Server)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want %q", tt.p, err, tt.want)
		}
		if _, open := tt.p.Test(context.Background(), netip.MustParseAddr("8.8.4.4")); open {
			t.Error("probes with wrong settings")
		}
	}
}

// FuzzAskProxy: for each answer, the client is an open proxy only if it returns
// this server's greeting.
func FuzzAskProxy(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\n\r\n"+ownGreeting, uint8(0))
	f.Add("\x00\x5a\x00\x00\x00\x00\x00\x00"+ownGreeting, uint8(1))
	f.Add("\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"+ownGreeting, uint8(2))
	f.Add("", uint8(0))
	f.Fuzz(func(t *testing.T, answer string, which uint8) {
		protocol := []ProxyProtocol{HTTPConnect, SOCKS4, SOCKS5}[which%3]
		c := &answered{Reader: strings.NewReader(answer)}
		if askProxy(c, protocol, netip.MustParseAddrPort("8.8.8.8:25"), ownGreeting) && !strings.Contains(strings.ToLower(answer), ownGreeting) {
			t.Errorf("%s: %q counts as a proxy", protocol, answer)
		}
	})
}

// answered is a connection whose peer has sent all of its data.
type answered struct {
	net.Conn
	io.Reader
}

func (s *answered) Read(b []byte) (int, error)  { return s.Reader.Read(b) }
func (s *answered) Write(b []byte) (int, error) { return len(b), nil }
