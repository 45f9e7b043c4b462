package policy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A ProxyProbe finds out whether a client is an open proxy, which passes on
// connections for everybody, and so the mail of whoever wants to hide
// (Exchange: the open proxy test of protocol analysis). It connects to the
// ports where proxies listen, asks for a connection to this server, and
// believes only what it then reads: this server's own greeting.
//
// [Reputation] has it probe clients that have given cause. Not everybody likes
// to be probed; without a ProxyProbe nobody is. Only hosts in the public
// internet ever are, so that no client makes the server connect to one behind
// its own firewall.
//
// The exported fields must not change once it is used.
type ProxyProbe struct {
	// Target is an address of this server that the internet reaches, with the
	// port. Only with one of IPv4 SOCKS4 can be tried.
	Target netip.AddrPort
	// Greeting is how Target's banner begins: "220 mx.example.com ".
	Greeting string
	// Ports are tried one after the other. Default DefaultProxyPorts.
	Ports []ProxyPort
	// Timeout for each of them. Default 5 s.
	Timeout time.Duration
	// Concurrency is how many clients are probed at the same time. Those
	// beyond it that give cause are not, until they do again. Default 8.
	Concurrency int
	// Again is for how long a client is not probed again. Default 24 h.
	Again time.Duration
	// Max is how many clients that is remembered of. Default 10,000.
	Max int
	// Logger is told of open proxies; nil is silent.
	Logger *slog.Logger

	may func(netip.Addr) bool // nil: inPublic; tests have their proxies at home

	mu     sync.Mutex // guards what follows
	closed bool
	cancel map[*context.CancelFunc]bool // of the probes under way
	probed bounded[netip.Addr, time.Time]
	wg     sync.WaitGroup
}

// ProxyProtocol is a way to ask a proxy for a connection.
type ProxyProtocol string

const (
	HTTPConnect ProxyProtocol = "HTTP CONNECT"
	SOCKS4      ProxyProtocol = "SOCKS4"
	SOCKS5      ProxyProtocol = "SOCKS5"
)

// A ProxyPort is where a proxy may listen.
type ProxyPort struct {
	Protocol ProxyProtocol
	Port     uint16
}

// DefaultProxyPorts are those that Exchange tries with these protocols, and
// 8080.
func DefaultProxyPorts() []ProxyPort {
	return []ProxyPort{{SOCKS5, 1080}, {SOCKS4, 1080}, {SOCKS5, 1081}, {SOCKS4, 1081},
		{HTTPConnect, 3128}, {HTTPConnect, 8080}, {HTTPConnect, 80}, {HTTPConnect, 6588}}
}

// Validate tells what is wrong with the settings.
func (p *ProxyProbe) Validate() error {
	switch {
	case !p.Target.IsValid() || p.Target.Port() == 0:
		return errors.New("policy: ProxyProbe.Target is not set: where shall proxies be asked to connect to?")
	case !p.allowed(p.Target.Addr()):
		return errors.New("policy: ProxyProbe.Target " + p.Target.String() + " is not reached from the internet")
	case !strings.HasPrefix(p.Greeting, "220") || len(p.Greeting) < len("220 x"):
		return errors.New(`policy: ProxyProbe.Greeting must be the beginning of the server's own, as "220 mx.example.com "`)
	}
	for _, port := range p.Ports {
		if proxyRequests[port.Protocol] == nil || port.Port == 0 {
			return errors.New("policy: ProxyProbe.Ports: no such protocol or port: " + port.String())
		}
	}
	return nil
}

// Open probes a client now, and returns the first port by which it is an open
// proxy. It takes as long as all ports' Timeouts at most, and does not heed
// Concurrency.
func (p *ProxyProbe) Open(ctx context.Context, client netip.Addr) (ProxyPort, bool) {
	client = client.Unmap().WithZone("")
	if p.Validate() != nil || !p.allowed(client) {
		return ProxyPort{}, false
	}
	timeout := p.Timeout
	setDefault(&timeout, 5*time.Second)
	ports := p.Ports
	if ports == nil {
		ports = DefaultProxyPorts()
	}
	for _, port := range ports {
		if ctx.Err() != nil {
			break
		}
		if p.passes(ctx, client, port, timeout) {
			return port, true
		}
	}
	return ProxyPort{}, false
}

// passes says whether the greeting comes through one port.
func (p *ProxyProbe) passes(ctx context.Context, client netip.Addr, port ProxyPort, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(client, port.Port).String())
	if err != nil {
		return false
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	return askProxy(c, port.Protocol, p.Target, p.Greeting)
}

// start probes a client in the background, unless that was done a short time
// ago or enough others are being probed. found is called if it is an open
// proxy.
func (p *ProxyProbe) start(client netip.Addr, found func()) {
	if !p.allowed(client) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	most := p.Concurrency
	setDefault(&most, 8)
	if p.closed || len(p.cancel) >= most || !p.due(client, time.Now()) {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	if p.cancel == nil {
		p.cancel = make(map[*context.CancelFunc]bool)
	}
	p.cancel[&cancel] = true
	p.wg.Go(func() {
		port, open := p.Open(ctx, client)
		p.mu.Lock()
		delete(p.cancel, &cancel)
		p.mu.Unlock()
		cancel()
		if !open {
			return
		}
		if p.Logger != nil {
			p.Logger.Info("policy: open proxy", "address", client.String(), "port", port.String())
		}
		found()
	})
}

// due says whether a client may be probed, and notes that it is. Called with
// mu held.
func (p *ProxyProbe) due(client netip.Addr, now time.Time) bool {
	again := p.Again
	setDefault(&again, 24*time.Hour)
	if p.probed.max == 0 {
		if p.probed.max = p.Max; p.probed.max <= 0 {
			p.probed.max = 10_000
		}
		p.probed.used = func(t *time.Time) int64 { return t.Unix() }
	}
	if t := p.probed.m[client]; t != nil && now.Sub(*t) < again {
		return false
	}
	t, _ := p.probed.get(client)
	*t = now
	return true
}

// Close ends the probes that are under way, and begins no more.
func (p *ProxyProbe) Close() error {
	p.mu.Lock()
	p.closed = true
	for cancel := range p.cancel {
		(*cancel)()
	}
	p.mu.Unlock()
	p.wg.Wait()
	return nil
}

func (p *ProxyProbe) allowed(ip netip.Addr) bool {
	if p.may != nil {
		return p.may(ip)
	}
	return inPublic(ip)
}

// notPublic are networks of the special-purpose address registries (RFC 6890)
// that a connection from here could take for one of its own, or that lead to
// such by an address of IPv4 in them.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
}

// global6 is what of IPv6 is given out to the internet (RFC 4291, 2.4; IANA).
var global6 = netip.MustParsePrefix("2000::/3")

// inPublic says whether an address is of the public internet.
func inPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Is6() && !global6.Contains(ip) {
		return false
	}
	for _, n := range notPublic {
		if n.Contains(ip) {
			return false
		}
	}
	return true
}
