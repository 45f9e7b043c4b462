package smtpserver

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

// XCLIENT (Postfix, XCLIENT_README): a trusted front end gives the address of its
// client, and a new session starts for that client.

const xclientAttributes = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

// mayXClient reports whether the client may use XCLIENT. It checks the address
// with which the session began. Behind a proxy that is the address in the PROXY
// header, because the proxy's client sends the command.
func (s *Session) mayXClient() bool { return within(s.frontIP, s.srv.XClientFrom) }

func (s *Session) cmdXCLIENT(arg string) error {
	if !s.mayXClient() {
		return s.fail(refusal(550, 5, 7, 0, "XCLIENT is not allowed"))
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
	s.setAddrs(c.src, c.dst)
	s.lfOnly = within(s.remoteIP, s.srv.BareLFFrom)
	s.helo = heloName{c.helo, addr.SafeHelo(c.helo)}
	s.esmtp, s.identity, s.state = false, c.login, connected
	s.forgetPeer()
	s.show(live.StateBanner, time.Time{})
	if v := s.admit(); v != nil {
		s.refuse(v)
		return errClosing
	}
	if err := s.connect(); err != nil || s.state == refusedAtConnect {
		return err
	}
	s.greet()
	return nil
}

// forgetPeer resets what belongs to the front end itself: the settings and
// values of agents, its errors, and its certificate, which does not identify
// the client. The connection stays encrypted.
func (s *Session) forgetPeer() {
	s.maxSize, s.bare, s.discardAll = s.lim.MessageSize, s.srv.BareBytes, false
	s.values = nil
	s.errors, s.unknown, s.authFailures = 0, 0, 0
	s.xclient = true
	if s.tls != nil {
		s.setTLS(*s.tls)
	}
}

// setTLS sets the TLS state. After XCLIENT it removes the certificate, which
// belongs to the front end.
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

// set sets one attribute.
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
		return isReplyLine(value)
	case "NAME", "PROTO": // not used
		return true
	}
	return false
}

// unknown handles an attribute whose value the front end does not know. A
// client without an address must not get the address of the front end.
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
