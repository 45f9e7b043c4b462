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

// A ProxyProbe tests whether a client is an open proxy: a proxy that forwards
// connections for anyone, so that spammers can hide behind it (Exchange: the
// open proxy test of protocol analysis). The probe connects to ports where
// proxies listen, requests a connection to this server, and reads the answer.
// The client is an open proxy only if the answer contains this server's own
// greeting.
//
// [Reputation] probes clients that got bad points. Some operators object to
// probes; without a ProxyProbe no client is probed. Only hosts in the public
// internet are probed, so that a client cannot make the server connect to a
// host behind the server's own firewall.
//
// The exported fields must not change once it is used. It is safe for
// concurrent use.
type ProxyProbe struct {
	// Target is an address and port of this server that can be reached from
	// the internet. SOCKS4 is tried only if it is an IPv4 address.
	Target netip.AddrPort
	// Greeting is the beginning of Target's banner, for example "220
	// mx.example.com ".
	Greeting string
	// Ports are tried one after the other. Default DefaultProxyPorts.
	Ports []ProxyPort
	// Timeout limits the test of each port. Default 5 s.
	Timeout time.Duration
	// Concurrency is the maximum number of clients that are probed at the same
	// time. A further client is not probed until it gets bad points again.
	// Default 8.
	Concurrency int
	// Interval is the minimum time between two probes of a client. Default 24
	// h.
	Interval time.Duration
	// Max is the maximum number of clients for which the time of the last probe
	// is stored. Default 10,000.
	Max int
	// Logger gets a line for each open proxy. Default: that of the
	// gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger

	may func(netip.Addr) bool // nil: inPublic; tests use proxies on loopback

	mu     sync.Mutex // guards the fields below
	closed bool
	cancel map[*context.CancelFunc]bool // of the running probes
	probed bounded[netip.Addr, time.Time]
	wg     sync.WaitGroup
}

// ProxyProtocol is a protocol for requesting a connection from a proxy.
type ProxyProtocol string

const (
	HTTPConnect ProxyProtocol = "HTTP CONNECT"
	SOCKS4      ProxyProtocol = "SOCKS4"
	SOCKS5      ProxyProtocol = "SOCKS5"
)

// A ProxyPort is a port where a proxy may listen, and its protocol.
type ProxyPort struct {
	Protocol ProxyProtocol
	Port     uint16
}

// DefaultProxyPorts returns the ports that Exchange tries with these
// protocols, and port 8080.
func DefaultProxyPorts() []ProxyPort {
	return []ProxyPort{{SOCKS5, 1080}, {SOCKS4, 1080}, {SOCKS5, 1081}, {SOCKS4, 1081},
		{HTTPConnect, 3128}, {HTTPConnect, 8080}, {HTTPConnect, 80}, {HTTPConnect, 6588}}
}

// Validate returns an error if a setting is wrong. It names the first one.
func (p *ProxyProbe) Validate() error {
	switch {
	case !p.Target.IsValid() || p.Target.Port() == 0:
		return errors.New("policy: ProxyProbe.Target must be set to an address and port of this server")
	case !p.allowed(p.Target.Addr()):
		return errors.New("policy: ProxyProbe.Target " + p.Target.String() + " is not an address of the public internet")
	case !strings.HasPrefix(p.Greeting, "220") || len(p.Greeting) < len("220 x"):
		return errors.New(`policy: ProxyProbe.Greeting must be the beginning of the server's greeting, for example "220 mx.example.com "`)
	}
	for _, port := range p.Ports {
		if proxyRequests[port.Protocol] == nil || port.Port == 0 {
			return errors.New("policy: ProxyProbe.Ports: no such protocol or port: " + port.String())
		}
	}
	return nil
}

// Test probes a client now. It returns the first port on which the client is an
// open proxy, and whether there is one. It takes at most Timeout for each port.
// It ignores Concurrency and the interval between probes.
func (p *ProxyProbe) Test(ctx context.Context, client netip.Addr) (ProxyPort, bool) {
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

// passes reports whether the greeting comes back through one port.
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

// start probes a client in the background, unless it was probed recently or
// too many probes are running. It calls found if the client is an open proxy.
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
		port, open := p.Test(ctx, client)
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

// due reports whether a client may be probed, and records the probe. The
// caller holds mu.
func (p *ProxyProbe) due(client netip.Addr, now time.Time) bool {
	interval := p.Interval
	setDefault(&interval, 24*time.Hour)
	if p.probed.max == 0 {
		if p.probed.max = p.Max; p.probed.max <= 0 {
			p.probed.max = 10_000
		}
		p.probed.used = func(t *time.Time) int64 { return t.Unix() }
	}
	if t := p.probed.m[client]; t != nil && now.Sub(*t) < interval {
		return false
	}
	t, _ := p.probed.get(client)
	*t = now
	return true
}

// Close cancels the running probes and waits for their end. No probe starts
// after it.
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
// that may be local networks here, or that contain IPv4 addresses which may be
// local.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
}

// global6 is the part of IPv6 that is assigned to the internet (RFC 4291, 2.4;
// IANA).
var global6 = netip.MustParsePrefix("2000::/3")

// inPublic reports whether an address belongs to the public internet.
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
