package smtpclient

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

// A probe tests every address and returns a result for each.
func TestProbe(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net"))
	n.host("192.0.2.1:25", offer+"C: EHLO relay.example\nS: 250-mx\nS: 250 PIPELINING\nC: QUIT\nS: 221 bye\nC: <eof>")
	n.host("192.0.2.2:25", offer)
	n.host("192.0.2.3:25", "S: 554 5.7.1 no"+quit)
	tr := n.transport()
	tr.TLS.Level, tr.TLSConfig = TLSDomain, ca.roots()
	probes, err := tr.Probe(t.Context(), to("192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25", "192.0.2.4:25"))
	if err != nil || len(probes) != 4 {
		t.Fatalf("%+v, %v", probes, err)
	}
	good := probes[0]
	if _, ok := good.Extensions["PIPELINING"]; !ok || good.Err != nil || good.TLS == nil || good.Policy != "domain" || good.Greeting != "mx" || good.Addr != "192.0.2.1:25" {
		t.Errorf("%+v", good)
	}
	for i, want := range []string{"", "TLS policy domain for mx2.example.net", "5.7.1 no", "connection refused"} {
		if i > 0 && (probes[i].Err == nil || !strings.Contains(probes[i].Err.Error(), strings.TrimPrefix(want, "5.7.1 "))) {
			t.Errorf("probe %d: %v, want %q", i, probes[i].Err, want)
		}
	}
	if probes[1].Greeting != "mx" || probes[1].TLS != nil {
		t.Errorf("%+v", probes[1])
	}
}

// Dial returns a session with the first host that works.
func TestDial(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.2:25", ehlo+"C: ETRN example.com\nS: 250 2.0.0 started\nC: QUIT\nS: 221 bye\nC: <eof>")
	tr := n.transport()
	c, err := tr.Dial(t.Context(), to("192.0.2.1:25", "192.0.2.2:25"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Command(t.Context(), "ETRN example.com"); err != nil || r.Code != 250 {
		t.Error(r, err)
	}
	if err := c.Quit(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := tr.Dial(t.Context(), to("192.0.2.1:25")); err == nil || !strings.Contains(err.Error(), "mx1.example.net (192.0.2.1:25)") {
		t.Errorf("error %v", err)
	}
}

// Connections use the local address of the configuration, and LMTP can use a
// Unix-domain socket.
func TestRealDial(t *testing.T) {
	for _, tt := range []struct{ network, addr, from string }{
		{"tcp", "127.0.0.1:0", "127.0.0.77"},
		{"tcp", "[::1]:0", "::1"},
		{"unix", filepath.Join(t.TempDir(), "lmtp"), ""},
	} {
		t.Run(tt.network+tt.from, func(t *testing.T) {
			l, err := net.Listen(tt.network, tt.addr)
			if err != nil {
				t.Skipf("no %s here: %v", tt.addr, err)
			}
			n := newNetwork(t)
			from := make(chan string, 1)
			n.wg.Go(func() {
				defer l.Close()
				conn, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				from <- conn.RemoteAddr().String()
				if err := n.play(conn, strings.ReplaceAll(ehlo, "EHLO", "LHLO")+one+quit, nil); err != nil {
					t.Error(err)
				}
			})
			tr := &Transport{Hostname: "relay.example", LMTP: true, LocalAddrs: []netip.Addr{netip.MustParseAddr("127.0.0.77"), netip.MustParseAddr("::1")}}
			host := Host{Name: "mx1.example.net", Socket: tt.addr}
			if tt.network == "tcp" {
				host.Socket, host.Addrs = "", []netip.AddrPort{netip.MustParseAddrPort(l.Addr().String())}
			}
			rs := tr.Send(t.Context(), &Destination{Name: "x", Hosts: HostList(host)}, mail("x\r\n", "b@example.net"))
			expect(t, rs, queued)
			tr.Close()
			if got := <-from; tt.from != "" && !strings.Contains(got, tt.from) {
				t.Errorf("came from %s", got)
			}
		})
	}
}
