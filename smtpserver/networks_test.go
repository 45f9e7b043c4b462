package smtpserver_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
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
