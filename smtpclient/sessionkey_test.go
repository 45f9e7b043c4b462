package smtpclient

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// Mail of any destination shares the sessions with a host. Mail for which
// another session would be opened does not: with another TLS policy, other
// credentials, another name for EHLO and so on.
func TestSessionKey(t *testing.T) {
	open := login("PLAIN") + "C: AUTH PLAIN " + b64("\x00me\x00secret") + "\nS: 235 2.7.0 welcome\n"
	for _, tt := range []struct {
		name   string
		change func(*Destination, *Host)
		shared bool
		ehlo   string // of the second session
	}{
		{name: "only another destination", shared: true},
		{name: "another domain", shared: true, change: func(d *Destination, h *Host) { d.Name, d.Domain = "example.org", "example.org" }},
		{name: "without a name", shared: true, change: func(d *Destination, h *Host) { d.Name = "" }},
		{name: "another policy domain without a policy", shared: true, change: func(d *Destination, h *Host) { h.Domain = "example.org" }},
		{name: "another preference", shared: true, change: func(d *Destination, h *Host) { h.Preference = 20 }},
		{name: "another host name", change: func(d *Destination, h *Host) { h.Name = "mx.example.org" }},
		{name: "another TLS level", change: func(d *Destination, h *Host) { d.TLS = &TLSPolicy{Level: TLSOpportunistic, AllowOld: true} }},
		{name: "no TLS", change: func(d *Destination, h *Host) { d.TLS = &TLSPolicy{Level: TLSNone} }},
		{name: "published policies are ignored", change: func(d *Destination, h *Host) { d.TLS = &TLSPolicy{IgnorePublished: true} }},
		{name: "the operator knows the host", change: func(d *Destination, h *Host) { d.Domain = "" }},
		{name: "another connector", change: func(d *Destination, h *Host) { d.Connector = "other" }},
		{name: "another name in EHLO", change: func(d *Destination, h *Host) { d.Hostname = "other.example" }, ehlo: strings.Replace(ehlo, "relay.example", "other.example", 1)},
		{name: "credentials", change: func(d *Destination, h *Host) { d.Auth = PasswordAuth("me", "secret") }, ehlo: open},
		{name: "credentials without an identity", change: func(d *Destination, h *Host) { d.Auth = anonymous{PasswordAuth("me", "secret")} }, ehlo: open},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				tr := n.transport()
				tr.Hostname, tr.AllowInsecureAuth = "", true
				defer tr.Close()
				if tt.shared {
					n.host("192.0.2.1:25", ehlo+one+one+one+quit)
				} else {
					n.host("192.0.2.1:25", ehlo+one+one+quit, or(tt.ehlo, ehlo)+one+quit)
				}
				dst := func(name string, change func(*Destination, *Host)) *Destination {
					h := Host{Name: "mx1.example.net", Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}}
					d := &Destination{Name: name, Domain: "example.net", Hostname: "relay.example"}
					if change != nil {
						change(d, &h)
					}
					d.Hosts = HostList(h)
					return d
				}
				for i, change := range []func(*Destination, *Host){nil, tt.change, nil} {
					if r := tr.Send(t.Context(), dst(fmt.Sprint("d", i), change), mail("x\r\n", "b@example.net"))[0]; r.Outcome != Success || r.Addr != "192.0.2.1:25" {
						t.Errorf("%+v", r)
					}
				}
			})
		})
	}
}

// anonymous is an Authenticator whose account has no name.
type anonymous struct{ Authenticator }

func (anonymous) Identity() string { return "" }

// Mail with a stricter policy never uses a session that was opened for a weaker
// one, and the other way round, even if the certificate would do.
func TestSessionKeyTLS(t *testing.T) {
	ca := newAuthority(t, "CA")
	cert := ca.issue(nil, "mx1.example.net")
	sum := sha256.Sum256(cert.Leaf.Raw)
	answer := func(usage uint8, names ...string) *dane.Answer {
		return &dane.Answer{Names: append([]string{"mx1.example.net"}, names...), Records: []dane.Record{{Usage: usage, Matching: 1, Data: sum[:]}}}
	}
	plain := func(*Destination, *Host) {}
	level := func(l TLSLevel) func(*Destination, *Host) {
		return func(d *Destination, h *Host) { d.TLS = &TLSPolicy{Level: l} }
	}
	records := func(a *dane.Answer) func(*Destination, *Host) {
		return func(d *Destination, h *Host) { h.DANE = a }
	}
	another := answer(dane.EE)
	another.Records = append(another.Records, dane.Record{Usage: dane.EE, Matching: 1, Data: make([]byte, 32)})
	for _, tt := range []struct {
		name          string
		first, second func(*Destination, *Host)
		shared        bool
	}{
		{"opportunistic", plain, plain, true},
		{"encrypt", level(TLSEncrypt), level(TLSEncrypt), true},
		{"domain", level(TLSDomain), level(TLSDomain), true},
		{"DANE-EE, for two domains", records(answer(dane.EE, "one.example")), records(answer(dane.EE, "two.example")), true},
		{"opportunistic, then domain", plain, level(TLSDomain), false},
		{"domain, then opportunistic", level(TLSDomain), plain, false},
		{"certificate, then domain", level(TLSCertificate), level(TLSDomain), false},
		{"opportunistic, then DANE", plain, records(answer(dane.EE)), false},
		{"DANE, then opportunistic", records(answer(dane.EE)), plain, false},
		{"DANE, then required DANE", records(answer(dane.EE)), func(d *Destination, h *Host) {
			d.TLS, h.DANE = &TLSPolicy{Level: TLSDANE}, answer(dane.EE)
		}, false},
		{"other DANE records", records(answer(dane.EE)), records(another), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.tls = server(cert)
			tr := n.transport()
			tr.TLSConfig = ca.roots()
			if tt.shared {
				n.host("192.0.2.1:25", offer+strings.Replace(upgraded, one, one+one, 1))
			} else {
				n.host("192.0.2.1:25", offer+upgraded, offer+upgraded)
			}
			for i, change := range []func(*Destination, *Host){tt.first, tt.second} {
				h := Host{Name: "mx1.example.net", Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}}
				d := &Destination{Name: []string{"one.example", "two.example"}[i], Domain: []string{"one.example", "two.example"}[i]}
				change(d, &h)
				d.Hosts = HostList(h)
				expect(t, tr.Send(t.Context(), d, mail("x\r\n", "b@example.net")), queued)
			}
		})
	}
}

// A session with MTA-STS is for the domains that publish it.
func TestSessionKeyMTASTS(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net"))
	n.host("192.0.2.1:25", offer+strings.Replace(upgraded, one, one+one, 1), offer+upgraded)
	tr := n.transport()
	tr.TLSConfig = ca.roots()
	tr.MTASTS = web("version: STSv1\nmode: enforce\nmx: mx1.example.net\nmax_age: 86400\n").cache()
	for _, d := range []*Destination{
		{Name: "one.example", Domain: "one.example"},
		{Name: "two.example", Domain: "two.example"},
		{Name: "three.example", Domain: "three.example", TLS: &TLSPolicy{IgnorePublished: true}},
	} {
		d.Hosts = to("192.0.2.1:25").Hosts
		expect(t, tr.Send(t.Context(), d, mail("x\r\n", "b@example.net")), queued)
	}
}
