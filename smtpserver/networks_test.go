package smtpserver_test

import (
	"fmt"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An ambiguous network is an error at start.
func TestNetworksOfTheServer(t *testing.T) {
	hostBits := []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}
	for want, srv := range map[string]*smtpserver.Server{
		"ProxyFrom: network 10.1.2.3/8 has bits set beyond the prefix length; did you mean 10.0.0.0/8?": {ProxyFrom: hostBits},
		"XClientFrom: network 10.1.2.3/8 has bits set beyond the prefix length":                         {XClientFrom: hostBits},
		"Limits.Exempt: network 10.1.2.3/8 has bits set beyond the prefix length":                       {Limits: smtpserver.Limits{Exempt: hostBits}},
		"ProxyFrom: network invalid Prefix is not a valid prefix":                                       {ProxyFrom: []netip.Prefix{{}}},
	} {
		if err := srv.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	right := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")}
	if err := (&smtpserver.Server{ProxyFrom: right, XClientFrom: right, Limits: smtpserver.Limits{Exempt: right}}).Validate(); err != nil {
		t.Error(err)
	}
}

// Networks contain the clients with link-local addresses, which have a zone, and may be
// IPv4 networks in the form of IPv6.
func TestClientsInNetworks(t *testing.T) {
	for _, c := range []struct {
		network, client string
		in              bool
	}{
		{"fe80::/10", "[fe80::9%eth0]:1025", true},
		{"fe80::9/128", "[fe80::9%2]:1025", true},
		{"fe80::9/128", "[fe80::8%2]:1025", false},
		{"::ffff:10.0.0.0/104", "10.1.2.3:1025", true},
		{"::ffff:10.0.0.0/104", "[::ffff:10.1.2.3]:1025", true},
		{"::ffff:10.0.0.0/104", "11.1.2.3:1025", false},
		{"::ffff:10.0.0.0/104", "[fe80::9%eth0]:1025", false},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]:1025", true},
		{"::/0", "10.1.2.3:1025", false}, // IPv6 only, as everywhere
	} {
		srv := &smtpserver.Server{Handler: smtptest.NewInbox(), BareLFFrom: []netip.Prefix{netip.MustParsePrefix(c.network)}}
		l, served := smtptest.NewListener(), make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		conn, err := l.Dial(c.client)
		if err != nil {
			t.Fatal(err)
		}
		text := textproto.NewConn(conn)
		text.ReadResponse(220)
		fmt.Fprint(conn, "NOOP\n")
		if _, _, err := text.ReadResponse(250); (err == nil) != c.in {
			t.Errorf("a line with LF from %s, permitted for %s: %v", c.client, c.network, err)
		}
		conn.Close()
		srv.Close()
		<-served
	}
}

func TestHostnameOfTheServer(t *testing.T) {
	for _, right := range []string{"", "relay.example.com", "Relay.Example.COM", "r3---sn-x.example", "mail_1", "[192.0.2.1]"} {
		if err := (&smtpserver.Server{Hostname: right}).Validate(); err != nil {
			t.Errorf("%q: %v", right, err)
		}
	}
	for _, wrong := range []string{"a b", "bücher.example", "a..b", "a>b", strings.Repeat("a", 64), "[x]"} {
		if err := (&smtpserver.Server{Hostname: wrong}).Validate(); err == nil || !strings.Contains(err.Error(), "is not a host name") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
