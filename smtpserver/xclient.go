package smtpserver

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

// XCLIENT (Postfix, XCLIENT_README): a trusted front end tells for whom it
// speaks, and the session begins anew as that client's.

const xclientAttributes = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

// mayXClient goes by the address that the session began with: behind a proxy
// of the PROXY protocol that is its client's, since it is the client who speaks.
func (s *Session) mayXClient() bool { return within(s.frontIP, s.srv.XClientFrom) }

func (s *Session) cmdXCLIENT(arg string) error {
	if !s.mayXClient() {
		return s.fail(refusal(550, 5, 7, 0, "XCLIENT is not for you"))
	}
	c := xclient{srv: s.srv, src: addrPort(s.remote), dst: addrPort(s.local)}
	words := strings.Fields(arg)
	if len(words) == 0 {
		return s.syntax("Syntax: XCLIENT attribute=value ...")
	}
	for _, word := range words {
		if !c.set(word) {
			return s.syntax("Bad XCLIENT attribute")
		}
	}
	s.traceInfo("XCLIENT: real peer " + s.PeerAddr().String())
	s.reset()
	if err := s.disconnect(); err != nil {
		return err
	}
	s.leave()
	s.claim(c.src, c.dst)
	s.lfOnly = within(s.remoteIP, s.srv.BareLFFrom)
	s.helo = heloName{c.helo, addr.SafeHelo(c.helo)}
	s.esmtp, s.identity, s.state = false, c.login, connected
	s.forgetPeer()
	if v := s.admit(); v != nil {
		s.refuse(v)
		return errClosing
	}
	if err := s.connect(); err != nil || s.state == turnedAway {
		return err
	}
	s.greet()
	return nil
}

// forgetPeer takes from the session what belonged to the front end itself:
// what agents have allowed it and noted of it, its errors, and the certificate
// that it showed, which says nothing of the client. The connection stays
// encrypted.
func (s *Session) forgetPeer() {
	s.maxSize, s.bare, s.discardAll = s.lim.MessageSize, s.srv.BareBytes, false
	s.values = nil
	s.errors, s.unknown, s.authFailures = 0, 0, 0
	s.xclient = true
	if s.tls != nil {
		s.setTLS(*s.tls)
	}
}

// setTLS keeps the state of the encryption, without the certificate of a front
// end that speaks for others.
func (s *Session) setTLS(state tls.ConnectionState) {
	if s.xclient {
		state.PeerCertificates, state.VerifiedChains = nil, nil
	}
	s.tls, s.oldTLS = &state, isOldTLS(&state)
}

type xclient struct {
	srv         *Server
	src, dst    netip.AddrPort
	helo, login string
}

// set takes one attribute.
func (c *xclient) set(word string) bool {
	key, value, ok := strings.Cut(word, "=")
	value, err := xtext.Decode(value)
	if !ok || err != nil {
		return false
	}
	key = strings.ToUpper(key)
	if u := strings.ToUpper(value); u == "[UNAVAILABLE]" || u == "[TEMPUNAVAIL]" {
		return c.unknown(key)
	}
	switch key {
	case "ADDR":
		return setAddr(&c.src, value)
	case "DESTADDR":
		return setAddr(&c.dst, value)
	case "PORT":
		return setPort(&c.src, value)
	case "DESTPORT":
		return setPort(&c.dst, value)
	case "HELO":
		c.helo = value
		return c.srv.validHelo(value)
	case "LOGIN":
		c.login = value
		return clean(value)
	case "NAME", "PROTO": // told by the front end, of no use here
		return true
	}
	return false
}

// unknown takes an attribute that the front end cannot tell. A client without
// an address must not be taken for the front end: it comes from nowhere.
func (c *xclient) unknown(key string) bool {
	switch key {
	case "ADDR":
		c.src = netip.AddrPort{}
	case "PORT":
		c.src = netip.AddrPortFrom(c.src.Addr(), 0)
	}
	return slices.Contains(strings.Fields(xclientAttributes), key)
}

func setAddr(a *netip.AddrPort, value string) bool {
	if len(value) > 5 && strings.EqualFold(value[:5], "IPV6:") {
		value = value[5:]
	}
	ip, err := netip.ParseAddr(value)
	*a = netip.AddrPortFrom(ip, a.Port())
	return err == nil && ip.Zone() == ""
}

func setPort(a *netip.AddrPort, value string) bool {
	p, err := strconv.ParseUint(value, 10, 16)
	*a = netip.AddrPortFrom(a.Addr(), uint16(p))
	return err == nil
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	return netip.AddrPort{}
}
