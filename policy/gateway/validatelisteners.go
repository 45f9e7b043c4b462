package gateway

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// validateListeners checks that no two listeners have one server or one address.
func (g *Gateway) validateListeners(f *findings) {
	servers := make(map[*smtpserver.Server]string)
	use := func(path string, srv *smtpserver.Server) {
		switch first, twice := servers[srv]; {
		case srv == nil:
			f.add(Error, path, "is not set")
		case twice:
			f.add(Error, path, "is also "+first+": each needs a server of its own, because limits and shutdown are per server")
		default:
			servers[srv] = path
		}
	}
	var earlier []*Listener
	for i, l := range g.Listeners {
		path := fmt.Sprintf("Listeners[%d]", i)
		if l == nil {
			f.add(Error, path, "is nil")
			continue
		}
		use(path+".Server", l.server())
		for j, other := range earlier {
			if overlap(l, other) && !shares(l, other) {
				f.add(Error, path+".Address", fmt.Sprintf("%s is also used by Listeners[%d]", l.address(), j))
			}
		}
		validateShared(f, l, earlier, path)
		earlier = append(earlier, l)
		if _, err := l.place(); err != nil {
			f.add(Error, path+".Address", err.Error())
		}
	}
	for i, srv := range g.Servers { // one of them can be a Listener's too: it serves both
		if srv == nil {
			f.add(Error, fmt.Sprintf("Servers[%d]", i), "is nil")
		}
	}
}

// overlap reports whether two listeners cannot both be open.
func overlap(a, b *Listener) bool {
	if a.Socket != nil || b.Socket != nil {
		return a.Socket == b.Socket
	}
	p, err1 := a.place()
	q, err2 := b.place()
	switch {
	case err1 != nil || err2 != nil || p.Port() == 0 || p.Port() != q.Port():
		return false
	case !p.Addr().IsValid() || !q.Addr().IsValid(): // a name
		return a.Address == b.Address
	}
	return p == q || p.Addr().IsUnspecified() || q.Addr().IsUnspecified()
}

// address returns Address or its default.
func (d *Listener) address() string {
	if d.Address != "" {
		return d.Address
	}
	if srv := d.server(); srv != nil && srv.TLSMode == smtpserver.TLSImplicit {
		return ":465"
	}
	return ":25"
}

// place parses the address of the socket. If the host is a name, the result has
// only the port.
func (d *Listener) place() (netip.AddrPort, error) {
	if a, is := d.Addr().(*net.TCPAddr); is {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
	}
	if d.Socket != nil { // not TCP
		return netip.AddrPort{}, nil
	}
	host, service, err := net.SplitHostPort(d.address())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address to listen on, such as \":25\"", d.address())
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q: %q is not a port", d.address(), service)
	}
	ip := netip.IPv4Unspecified()
	if host != "" {
		ip, _ = netip.ParseAddr(host) // not valid if it is a name
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
}
