package smtpserver

import (
	"net/netip"
	"time"
)

// accounts counts what addresses and networks do, for the limits on them.
type accounts struct {
	addrs map[netip.Addr]*account
	nets  map[netip.Prefix]int // connections
	sweep int                  // size of addrs at which to look for old ones
}

// account is one address's, or for rates one source's. Rates are counted in
// windows of a minute, as Postfix's anvil does.
type account struct {
	connections int
	window      time.Time // when the present minute began
	opened      int
	messages    int
	recipients  int
}

const rateWindow = time.Minute

// roll begins a new window when the last one is over.
func (a *account) roll(now time.Time) {
	if now.Sub(a.window) >= rateWindow {
		a.window, a.opened, a.messages, a.recipients = now, 0, 0, 0
	}
}

// get is the account of an address; accounts that have nothing to tell any
// more are dropped on the way.
func (as *accounts) get(ip netip.Addr, now time.Time) *account {
	a := as.addrs[ip]
	if a == nil {
		if as.addrs == nil {
			as.addrs = make(map[netip.Addr]*account)
			as.nets = make(map[netip.Prefix]int)
		}
		if len(as.addrs) >= as.sweep {
			for k, old := range as.addrs {
				if old.connections == 0 && now.Sub(old.window) >= rateWindow {
					delete(as.addrs, k)
				}
			}
			as.sweep = max(1024, 2*len(as.addrs))
		}
		a = &account{window: now}
		as.addrs[ip] = a
	}
	a.roll(now)
	return a
}

// source is whom the rates count by: an address, or the /64 of IPv6 that it is
// in, which is the least that anybody has for himself.
func source(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return ip
	}
	return network(ip).Addr()
}

// network is what ConnectionsPerNetwork counts by.
func network(ip netip.Addr) netip.Prefix {
	bits := 24
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // no error: bits fit the address
	return p
}

// admit counts a connection in, or says why it may not come in.
func (s *Session) admit() *verdict {
	srv, l := s.srv, s.lim
	if srv.current.Load() > int64(l.Connections) && l.Connections < noLimitInt {
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
	rates, a := srv.accounts.get(source(ip), now), srv.accounts.addrs[ip]
	rates.opened++
	switch {
	case rates.opened > l.ConnectionRate:
		return tooMany("connections from your address in a minute")
	case a != nil && a.connections >= l.ConnectionsPerAddr:
		return tooMany("connections from your address")
	case srv.accounts.nets[net] >= l.ConnectionsPerNetwork:
		return tooMany("connections from your network")
	}
	srv.accounts.get(ip, now).connections++
	srv.accounts.nets[net]++
	s.counted = ip
	return nil
}

// leave undoes admit.
func (s *Session) leave() {
	if !s.counted.IsValid() {
		return
	}
	ip, net := s.counted, network(s.counted)
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	a := s.srv.accounts.get(ip, time.Now())
	if a.connections--; a.connections == 0 && ip != source(ip) {
		delete(s.srv.accounts.addrs, ip) // it counts nothing else
	}
	if s.srv.accounts.nets[net]--; s.srv.accounts.nets[net] == 0 {
		delete(s.srv.accounts.nets, net)
	}
	s.counted = netip.Addr{}
}

// exempt says whether the limits by address do not bind the client.
func (s *Session) exempt() bool {
	return !s.nowhere() && !s.remoteIP.IsValid() || within(s.remoteIP, s.lim.Exempt)
}

// countedIP is the address that the limits by address count. All clients whose
// proxy gives no address are one client.
func (s *Session) countedIP() netip.Addr {
	if s.nowhere() {
		return netip.IPv4Unspecified()
	}
	return s.remoteIP
}

func within(ip netip.Addr, nets []netip.Prefix) bool {
	for _, p := range nets {
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
	a := s.srv.accounts.get(source(s.countedIP()), time.Now())
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
	a := s.srv.accounts.get(source(s.countedIP()), time.Now())
	if a.recipients++; a.recipients > s.lim.RecipientRate {
		return &verdict{reply: refusal(450, 4, 7, 0, "Too many recipients in a minute"), by: "limits"}
	}
	return nil
}

func tooMany(what string) *verdict {
	return &verdict{reply: refusal(421, 4, 7, 0, "Too many "+what), by: "limits", close: true}
}
