package smtpserver_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// addresses is an agent that reports the addresses of the session in replies.
func addresses() (smtpserver.Agent, func() string) {
	seen := make(chan string, 10)
	return smtpserver.Agent{Connect: func(_ context.Context, s *smtpserver.Session) error {
		peer := netip.MustParseAddrPort(s.PeerAddr().String()).Addr()
		seen <- fmt.Sprintf("%s > %s by %s", s.RemoteAddr(), s.LocalAddr(), peer)
		return nil
	}}, func() string { return <-seen }
}

func v2(command, family byte, addrs string) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{0x20 | command, family, byte(len(addrs) >> 8), byte(len(addrs))}) + addrs
}

func TestProxyProtocol(t *testing.T) {
	ip6 := netip.MustParseAddr("2001:db8::7").AsSlice()
	for _, c := range []struct{ name, header, want string }{
		{"v1 TCP4", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n", "192.0.2.7:4711 > 198.51.100.1:25"},
		{"v1 TCP6", "PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n", "[2001:db8::7]:4711 > [2001:db8::1]:25"},
		{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", "unknown > 127.0.0.1:"},
		{"v1 UNKNOWN with addresses", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "unknown > 127.0.0.1:"},
		{"v1 no usable address", "PROXY TCP4 0.0.0.0 198.51.100.1 4711 25\r\n", "unknown > 198.51.100.1:25"},
		{"v1 no usable address of IPv6", "PROXY TCP6 :: 2001:db8::1 4711 25\r\n", "unknown > [2001:db8::1]:25"},
		{"v2 TCP4", v2(1, 0x11, "\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x19"), "192.0.2.7:4711 > 198.51.100.1:25"},
		{"v2 TCP4 with TLVs", v2(1, 0x11, "\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x19\x04\x00\x01x"), "192.0.2.7:4711 > 198.51.100.1:25"},
		{"v2 TCP6", v2(1, 0x21, string(ip6)+string(ip6)+"\x12\x67\x00\x19"), "[2001:db8::7]:4711 > [2001:db8::7]:25"},
		{"v2 LOCAL", v2(0, 0, ""), "unknown > 127.0.0.1:"},
		{"v2 LOCAL with addresses", v2(0, 0x11, "\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x19"), "unknown > 127.0.0.1:"},
		{"v2 UNSPEC", v2(1, 0, ""), "unknown > 127.0.0.1:"},
		{"v2 UNSPEC with TLVs", v2(1, 0, "\x04\x00\x01x"), "unknown > 127.0.0.1:"},
		{"v2 UDP4", v2(1, 0x12, "\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x19"), "unknown > 127.0.0.1:"},
		{"v2 UDP6", v2(1, 0x22, string(ip6)+string(ip6)+"\x12\x67\x00\x19"), "unknown > 127.0.0.1:"},
		{"v2 Unix stream", v2(1, 0x31, strings.Repeat("x", 216)), "unknown > 127.0.0.1:"},
		{"v2 Unix datagram", v2(1, 0x32, strings.Repeat("x", 216)), "unknown > 127.0.0.1:"},
		{"v2 no usable address", v2(1, 0x11, "\x00\x00\x00\x00\xc6\x33\x64\x01\x12\x67\x00\x19"), "unknown > 198.51.100.1:25"},

		{"none", "EHLO client.example\r\n", ""},
		{"v1 short", "PROXY TCP4 192.0.2.7\r\n", ""},
		{"v1 mixed", "PROXY TCP4 2001:db8::7 198.51.100.1 4711 25\r\n", ""},
		{"v1 bad port", "PROXY TCP4 192.0.2.7 198.51.100.1 99999 25\r\n", ""},
		{"v1 endless", "PROXY " + strings.Repeat("x", 200), ""},
		{"v2 unassigned family", v2(1, 0x41, strings.Repeat("x", 216)), ""},
		{"v2 unassigned protocol", v2(1, 0x13, strings.Repeat("x", 12)), ""},
		{"v2 short addresses", v2(1, 0x11, "\xc0\x00"), ""},
		{"v2 other version", strings.Replace(v2(1, 0x11, ""), "\n!", "\n1", 1), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			agent, seen := addresses()
			srv := smtptest.NewServer(t, &smtpserver.Server{ProxyFrom: loopback, Agents: []smtpserver.Agent{agent}})
			conn := dialRaw(t, srv.Addr)
			conn.send(c.header)
			if c.want == "" {
				conn.gone()
				return
			}
			conn.expect("220")
			if got := seen(); !strings.HasPrefix(got, c.want) || !strings.HasSuffix(got, "by 127.0.0.1") {
				t.Errorf("addresses %q, want %q", got, c.want)
			}
		})
	}
}

// From other networks, the header is an unknown SMTP command.
func TestProxyHeaderFromOtherNetworks(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: PROXY TCP4 192.0.2.7 198.51.100.1 4711 25
		S: 500
	`)
}

func TestXCLIENT(t *testing.T) {
	agent, seen := addresses()
	s := generous()
	s.XClientFrom, s.Agents = loopback, []smtpserver.Agent{agent}
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO proxy.example
		S: 250 XCLIENT NAME ADDR
		C: XCLIENT
		S: 501 5.5.4
		C: XCLIENT ADDR=192.0.2
		S: 501
		C: XCLIENT COLOUR=red
		S: 501
		C: XCLIENT NAME=spike.example ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP LOGIN=alice+2Bx HELO=[UNAVAILABLE]
		S: 220 test.example
		C: MAIL FROM:<a@example.com>
		S: 503 5.5.1 Say EHLO
		C: EHLO spike.example
		S: 250
		C: MAIL FROM:<a@example.com>
		S: 250
		C: XCLIENT ADDR=192.0.2.8
		S: 503
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
		C: XCLIENT ADDR=IPV6:2001:db8::9
		S: 220
		C: QUIT
		S: 221
	`)
	for _, want := range []string{"127.0.0.1:", "192.0.2.7:4711 > 127.0.0.1:", "[2001:db8::9]:4711 > 127.0.0.1:"} {
		if got := seen(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "by 127.0.0.1") {
			t.Errorf("addresses %q, want %q", got, want)
		}
	}
	if m := srv.Inbox.Next(t); m.Identity != "alice+x" {
		t.Errorf("identity %q", m.Identity)
	}
	srv = smtptest.NewServer(t, generous())
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: XCLIENT ADDR=192.0.2.7
		S: 550 5.7.0
	`)
}

// Each line of the protocol log contains the addresses that are known at that
// time.
func TestProxyAddressesInLog(t *testing.T) {
	log := new(said)
	s := generous()
	s.ProxyFrom, s.ProtocolLog = loopback, log
	s.XClientFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}
	srv := smtptest.NewServer(t, s)
	smtptest.TalkOn(t, dialRaw(t, srv.Addr), `
		C: PROXY TCP4 192.0.2.7 198.51.100.1 4711 25
		S: 220
		C: EHLO proxy.example
		S: 250
		C: XCLIENT ADDR=192.0.2.8
		S: 220
		C: QUIT
		S: 221
		EOF
	`)
	srv.Close()
	var got []string
	for _, e := range log.events {
		if line := e.Remote + " > " + e.Local; len(got) == 0 || got[len(got)-1] != line {
			got = append(got, line)
		}
	}
	if want := []string{"192.0.2.7:4711 > 198.51.100.1:25", "192.0.2.8:4711 > 198.51.100.1:25"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A proxy's header and the client's TLS hello may come in one piece.
func TestProxyBeforeImplicitTLS(t *testing.T) {
	agent, seen := addresses()
	s := withTLS(t, smtpserver.TLSImplicit)
	s.ProxyFrom, s.Agents = loopback, []smtpserver.Agent{agent}
	srv := smtptest.NewServer(t, s)
	c := dialRaw(t, srv.Addr)
	first := &prefixed{Conn: c.Conn, prefix: "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n"}
	smtptest.TalkOn(t, first, "TLS\nS: 220\nC: QUIT\nS: 221\nEOF")
	if got := seen(); !strings.HasPrefix(got, "192.0.2.7:4711") {
		t.Errorf("addresses %q", got)
	}
}

// prefixed is a connection that sends a prefix before the first write, in the
// same packet.
type prefixed struct {
	net.Conn
	prefix string
}

func (p *prefixed) Write(b []byte) (int, error) {
	n := len(p.prefix)
	m, err := p.Conn.Write(append([]byte(p.prefix), b...))
	p.prefix = ""
	return m - n, err
}

// withoutAddress are the headers of a proxy that gives no address that can be
// used.
func withoutAddress() map[string]string {
	return map[string]string{
		"v1 UNKNOWN": "PROXY UNKNOWN\r\n", "v2 LOCAL": v2(0, 0, ""), "v2 UNSPEC": v2(1, 0, ""),
		"v2 UDP": v2(1, 0x12, strings.Repeat("\x7f", 12)), "v2 Unix": v2(1, 0x31, strings.Repeat("x", 216)),
	}
}

// If a proxy gives no client address, as in health checks, the session is
// served. The client gets no rights from the address of the proxy: no XCLIENT,
// no rights of networks, no exemption from limits.
func TestProxyWithoutAnAddress(t *testing.T) {
	for name, header := range withoutAddress() {
		t.Run(name, func(t *testing.T) {
			log := new(said)
			s := generous()
			everyone := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
			s.ProxyFrom, s.XClientFrom, s.Limits.Exempt, s.ProtocolLog = loopback, everyone, everyone, log
			s.Limits.MessageRate, s.Limits.ConnectionsPerAddr = 2, 1
			srv := smtptest.NewServer(t, s)
			smtptest.TalkOn(t, dialRaw(t, srv.Addr), fmt.Sprintf(`
				R: %q
				S: 220
				C: EHLO check.example
				S: 250 HELP
				C: XCLIENT ADDR=192.0.2.7
				S: 550 5.7.0
				C: MAIL FROM:<a@example.com>
				S: 250
				C: RSET
				S: 250
				C: MAIL FROM:<a@example.com>
				S: 250
				C: RSET
				S: 250
				C: MAIL FROM:<a@example.com>
				S: 450 4.7.0 Too many messages in a minute
				C: QUIT
				S: 221
				EOF
			`, header))
			srv.Close()
			var known bool
			for _, e := range log.events {
				if e.Remote != "unknown" {
					t.Errorf("in the protocol log, the client is %q", e.Remote)
				}
				known = known || strings.HasPrefix(e.Context, "PROXY: no client address, connection from 127.0.0.1:")
			}
			if !known {
				t.Error("the protocol log does not say where the connection came from")
			}
		})
	}
	// One connection is the limit for one address.
	s := generous()
	s.ProxyFrom, s.Limits.ConnectionsPerAddr = loopback, 1
	srv := smtptest.NewServer(t, s)
	first := dialRaw(t, srv.Addr)
	first.send("PROXY UNKNOWN\r\n")
	first.expect("220")
	second := dialRaw(t, srv.Addr)
	second.send(v2(0, 0, ""))
	second.expect("421 4.7.0 Too many connections from your address")
	first.send("QUIT\r\n")
	first.expect("221")
	first.gone()
	third := dialRaw(t, srv.Addr)
	third.send(v2(0, 0, ""))
	third.expect("220")
}
