package smtpserver_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A proxy of the PROXY protocol passes on what strangers say: that it is on a
// network of front ends does not make them front ends.
func TestXCLIENTIsNotForThoseBehindAProxy(t *testing.T) {
	s := generous()
	s.ProxyFrom, s.XClientFrom = loopback, append(slices.Clone(loopback), netip.MustParsePrefix("192.0.2.0/24"))
	srv := smtptest.NewServer(t, s)
	stranger := "PROXY TCP4 203.0.113.9 198.51.100.1 4711 25\r\n"
	c := dialRaw(t, srv.Addr)
	c.send(stranger)
	c.expect("220")
	c.send("EHLO stranger.example\r\n")
	if r := c.reply(); strings.Contains(r, "XCLIENT") {
		t.Errorf("a stranger is offered XCLIENT: %q", r)
	}
	c.send("XCLIENT ADDR=127.0.0.1 LOGIN=admin\r\n")
	c.expect("550 5.7.0")

	// A front end that comes by the proxy is one all the same.
	c = dialRaw(t, srv.Addr)
	c.send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n")
	c.expect("220")
	c.send("XCLIENT ADDR=203.0.113.9\r\n")
	c.expect("220")
	c.send("XCLIENT ADDR=203.0.113.10\r\n")
	c.expect("220")
}
