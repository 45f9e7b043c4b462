package policy

import (
	"net/netip"
	"strings"
	"testing"
)

// MayRelay answers what can be known from a log, and says when it cannot be known.
func TestRecordedRelay(t *testing.T) {
	inside, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	ten := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	any := func(to Clients) *Gate { return &Gate{Grants: []Grant{{To: to, Rights: ExchangeUsers}}} }
	key := strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		gate          *Gate
		ip            netip.Addr
		authenticated bool
		may, known    bool
	}{
		"zero gate":                      {&Gate{}, inside, true, false, true},
		"networks, inside":               {&Gate{Networks: ten}, inside, false, true, true},
		"networks, inside as IPv6":       {&Gate{Networks: ten}, netip.MustParseAddr("::ffff:10.1.2.3"), false, true, true},
		"networks, outside":              {&Gate{Networks: ten}, outside, false, false, true},
		"networks, no address":           {&Gate{Networks: ten}, netip.Addr{}, false, false, false},
		"authenticated":                  {&Gate{Authenticated: true}, outside, true, true, true},
		"not authenticated":              {&Gate{Authenticated: true}, outside, false, false, true},
		"an identity":                    {any(Clients{Identities: []string{"app"}}), outside, true, false, false},
		"an identity, not authenticated": {any(Clients{Identities: []string{"app"}}), outside, false, false, true},
		"a host name":                    {any(Clients{Hosts: []string{"mx.example.net"}}), outside, false, false, false},
		"a certificate":                  {any(Clients{CertificateKeys: []string{key}}), outside, false, false, false},
		"a certificate, or the network":  {any(Clients{CertificateKeys: []string{key}, Networks: ten}), inside, false, true, true},
		"network except itself":          {any(Clients{Networks: ten, Except: &Clients{Networks: ten}}), inside, false, false, true},
		"network except others":          {any(Clients{Networks: ten, Except: &Clients{Authenticated: true}}), inside, false, true, true},
		"network except a host":          {any(Clients{Networks: ten, Except: &Clients{Hosts: []string{"x.example.net"}}}), inside, false, false, false},
		"another right":                  {&Gate{Grants: []Grant{{To: Clients{Networks: ten}, Rights: Submit}}}, inside, false, false, true},
		"would be an open relay":         {any(Clients{Everyone: true}), outside, false, false, true},
	} {
		may, known := c.gate.RecordedRelay().MayRelay(c.ip, c.authenticated)
		if may != c.may || known != c.known {
			t.Errorf("%s: %v, known %v; want %v, known %v", name, may, known, c.may, c.known)
		}
	}
}
