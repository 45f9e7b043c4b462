package smtpserver_test

import (
	"context"
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A proxy relays commands from unknown clients. If the proxy is in a network of
// XClientFrom, its clients may still not use XCLIENT.
func TestXCLIENTBehindProxy(t *testing.T) {
	s := generous()
	s.ProxyFrom, s.XClientFrom = loopback, append(slices.Clone(loopback), netip.MustParsePrefix("192.0.2.0/24"))
	srv := smtptest.NewServer(t, s)
	outside := "PROXY TCP4 203.0.113.9 198.51.100.1 4711 25\r\n"
	c := dialRaw(t, srv.Addr)
	c.send(outside)
	c.expect("220")
	c.send("EHLO client.example\r\n")
	if r := c.reply(); strings.Contains(r, "XCLIENT") {
		t.Errorf("a client from another network is offered XCLIENT: %q", r)
	}
	c.send("XCLIENT ADDR=127.0.0.1 LOGIN=admin\r\n")
	c.expect("550 5.7.0")

	// A front end that connects through the proxy may use XCLIENT.
	c = dialRaw(t, srv.Addr)
	c.send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n")
	c.expect("220")
	c.send("XCLIENT ADDR=203.0.113.9\r\n")
	c.expect("220")
	c.send("XCLIENT ADDR=203.0.113.10\r\n")
	c.expect("220")
}

// For agents, the client of a front end has its own session. Agents get
// Disconnect for the front end and Connect for the client, and values of the
// first session are not in the second.
func TestXCLIENTStartsNewSession(t *testing.T) {
	type note struct{}
	var mu sync.Mutex // guards told
	var told []string
	record := func(s *smtpserver.Session, event string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, event+" "+netip.MustParseAddrPort(s.RemoteAddr().String()).Addr().String())
	}
	agent := smtpserver.Agent{
		Connect: func(_ context.Context, s *smtpserver.Session) error {
			if v := s.Value(note{}); v != nil {
				t.Errorf("at Connect of %v there is a note of %v", s.RemoteAddr(), v)
			}
			s.SetValue(note{}, s.RemoteAddr())
			record(s, "connect")
			return nil
		},
		Reset:      func(_ context.Context, s *smtpserver.Session) { record(s, "reset") },
		Disconnect: func(_ context.Context, s *smtpserver.Session) { record(s, "disconnect") },
	}
	s := generous()
	s.XClientFrom, s.Agents = loopback, []smtpserver.Agent{agent}
	s.Limits.ConnectionsPerAddr = 1
	srv := smtptest.NewServer(t, s)
	busy := dialRaw(t, srv.Addr)
	busy.expect("220")
	busy.send("XCLIENT ADDR=192.0.2.1\r\n")
	busy.expect("220")
	mu.Lock()
	told = nil
	mu.Unlock()
	c := dialRaw(t, srv.Addr)
	c.expect("220")
	c.send("XCLIENT ADDR=192.0.2.7\r\n")
	c.expect("220")
	c.send("XCLIENT ADDR=192.0.2.1\r\n") // who may not come in a second time
	c.expect("421")
	c.gone()
	busy.Close()
	srv.Close()
	want := []string{"connect 127.0.0.1", "disconnect 127.0.0.1", "connect 192.0.2.7", "disconnect 192.0.2.7", "disconnect 192.0.2.1"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// The certificate of a front end does not identify its clients, whether TLS
// starts before or after XCLIENT.
func TestSTARTTLSAfterXCLIENT(t *testing.T) {
	certs := make(chan int, 10)
	s := withTLS(t, smtpserver.TLSOffered)
	s.TLSConfig.ClientAuth = tls.RequestClientCert
	s.XClientFrom = loopback
	s.Agents = []smtpserver.Agent{{Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
		certs <- len(s.TLS().PeerCertificates)
		return nil
	}}}
	srv := smtptest.NewServer(t, s)
	own, _ := smtptest.TLSConfig(t)
	for _, xclient := range []string{"", "XCLIENT ADDR=192.0.2.7\r\n"} {
		c := dialRaw(t, srv.Addr)
		c.expect("220")
		if xclient != "" {
			c.send(xclient)
			c.expect("220")
		}
		c.send("STARTTLS\r\n")
		c.expect("220")
		tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, Certificates: own.Certificates})
		c = newRaw(t, tc)
		c.send("EHLO front.example\r\n")
		c.expect("250")
		c.send("MAIL FROM:<a@example.com>\r\n")
		c.expect("250")
		want := 1
		if xclient != "" {
			want = 0
		}
		if n := <-certs; n != want {
			t.Errorf("after %q the client has shown %d certificates, want %d", xclient, n, want)
		}
	}
}

// If the front end does not know the address, the client has no address. It
// does not get the address of the front end.
func TestXCLIENTWithoutAnAddress(t *testing.T) {
	agent, seen := addresses()
	s := generous()
	s.XClientFrom, s.Agents = loopback, []smtpserver.Agent{agent}
	srv := smtptest.NewServer(t, s)
	for _, unknown := range []string{"[UNAVAILABLE]", "[TEMPUNAVAIL]", "0.0.0.0", "IPV6:::"} {
		smtptest.Talk(t, srv.Addr, "S: 220\nC: XCLIENT ADDR="+unknown+" NAME=[UNAVAILABLE] PORT=[UNAVAILABLE]\nS: 220\nC: QUIT\nS: 221")
		seen() // of the front end
		if got := seen(); !strings.HasPrefix(got, "unknown > 127.0.0.1:") {
			t.Errorf("addresses %q", got)
		}
	}
}
