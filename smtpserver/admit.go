package smtpserver

import (
	"net/netip"
	"time"
)

// usageTable counts the connections, messages and recipients of addresses and
// networks, for the limits by address.
type usageTable struct {
	addrs map[netip.Addr]*usage
	nets  map[netip.Prefix]int // connections
	sweep int                  // size of addrs at which old entries are removed
}

// usage counts for one address, or for one source in the case of rates. Rates are
// counted in windows of one minute, as in anvil of Postfix.
type usage struct {
	connections int
	window      time.Time // start of the current minute
	opened      int
	messages    int
	recipients  int
}

const rateWindow = time.Minute

// roll starts a new window if the current one is over.
func (a *usage) roll(now time.Time) {
	if now.Sub(a.window) >= rateWindow {
		a.window, a.opened, a.messages, a.recipients = now, 0, 0, 0
	}
}

// get returns the usage of an address, and creates it if necessary. It also
// removes entries that are no longer needed.
func (t *usageTable) get(ip netip.Addr, now time.Time) *usage {
	a := t.addrs[ip]
	if a == nil {
		if t.addrs == nil {
			t.addrs = make(map[netip.Addr]*usage)
			t.nets = make(map[netip.Prefix]int)
		}
		if len(t.addrs) >= t.sweep {
			for k, old := range t.addrs {
				if old.connections == 0 && now.Sub(old.window) >= rateWindow {
					delete(t.addrs, k)
				}
			}
			t.sweep = max(1024, 2*len(t.addrs))
		}
		a = &usage{window: now}
		t.addrs[ip] = a
	}
	a.roll(now)
	return a
}

// source returns the address by which rates are counted: an IPv4 address, or
// the /64 network of an IPv6 address, because an IPv6 client has at least a
// /64.
func source(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return ip
	}
	return network(ip).Addr()
}

// network returns the network that ConnectionsPerNetwork counts.
func network(ip netip.Addr) netip.Prefix {
	bits := 24
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // no error: bits fit the address
	return p
}

// admit counts a connection, or returns the limit that it exceeds.
func (s *Session) admit() *verdict {
	srv, l := s.srv, s.lim
	if !s.hasPlace {
		srv.makeRoom()
		return tooMany("connections")
	}
	if s.exempt() {
		return nil
	}
	ip := s.countedIP()
	net := network(ip)
	srv.mu.Lock()
	defer srv.mu.Unlock()
	now := time.Now()
	rates, a := srv.usage.get(source(ip), now), srv.usage.addrs[ip]
	rates.opened++
	switch {
	case rates.opened > l.ConnectionRate:
		return tooMany("connections from your address in a minute")
	case a != nil && a.connections >= l.ConnectionsPerAddr:
		return tooMany("connections from your address")
	case srv.usage.nets[net] >= l.ConnectionsPerNetwork:
		return tooMany("connections from your network")
	}
	srv.usage.get(ip, now).connections++
	srv.usage.nets[net]++
	s.counted = ip
	return nil
}

// leave reverts admit.
func (s *Session) leave() {
	if !s.counted.IsValid() {
		return
	}
	ip, net := s.counted, network(s.counted)
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	a := s.srv.usage.get(ip, time.Now())
	if a.connections--; a.connections == 0 && ip != source(ip) {
		delete(s.srv.usage.addrs, ip) // no rates are counted for it
	}
	if s.srv.usage.nets[net]--; s.srv.usage.nets[net] == 0 {
		delete(s.srv.usage.nets, net)
	}
	s.counted = netip.Addr{}
}

// exempt reports whether the limits by address do not apply to the client.
func (s *Session) exempt() bool {
	return !s.hasUnknownAddr() && !s.remoteIP.IsValid() || within(s.remoteIP, s.lim.Exempt)
}

// countedIP returns the address that the limits by address count. All clients
// whose proxy gives no address count as one client.
func (s *Session) countedIP() netip.Addr {
	if s.hasUnknownAddr() {
		return netip.IPv4Unspecified()
	}
	return s.remoteIP
}

// within reports whether networks contain an address. The zone of a link-local address
// does not count. A network of IPv4 addresses may be written as IPv6 (::ffff:10.0.0.0/104).
func within(ip netip.Addr, nets []netip.Prefix) bool {
	ip = ip.WithZone("") // Contains is false with a zone
	for _, p := range nets {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func (s *Session) rateMessage() *verdict {
	if s.lim.MessageRate == noLimitInt || s.exempt() {
		return nil
	}
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	a := s.srv.usage.get(source(s.countedIP()), time.Now())
	if a.messages++; a.messages > s.lim.MessageRate {
		return &verdict{reply: refusal(450, 4, 7, 0, "Too many messages in a minute"), by: "limits"}
	}
	return nil
}

func (s *Session) rateRecipient() *verdict {
	if s.lim.RecipientRate == noLimitInt || s.exempt() {
		return nil
	}
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	a := s.srv.usage.get(source(s.countedIP()), time.Now())
	if a.recipients++; a.recipients > s.lim.RecipientRate {
		return &verdict{reply: refusal(450, 4, 7, 0, "Too many recipients in a minute"), by: "limits"}
	}
	return nil
}

func tooMany(what string) *verdict {
	return &verdict{reply: refusal(421, 4, 7, 0, "Too many "+what), by: "limits", close: true}
}
