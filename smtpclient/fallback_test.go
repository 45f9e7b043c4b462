package smtpclient

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// hello offers STARTTLS, and the client takes it.
const hello = "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n"

// plainText is a session without TLS.
const plainText = "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS" + stepwise + quit

// At TLSOpportunistic, plain text on a new connection follows any failure of TLS.
// The levels above it never fall back.
func TestFallback(t *testing.T) {
	ca, now := newAuthority(t, "CA"), time.Now() // not that of a bubble
	cert := ca.issue(nil, "mx1.example.net")
	sum := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	ee := &dane.Answer{Records: []dane.Record{{Usage: 3, Selector: 1, Matching: 1, Data: sum[:]}}, Names: []string{"mx1.example.net"}}
	for _, tt := range []struct {
		name   string
		script string
		old    bool // old TLS may help, and is tried first
		later  bool // plain text only at the next attempt
	}{
		{name: "not TLS", script: hello + "S: 220 go\nC: <garble>"},
		{name: "closed in the handshake", script: hello + "S: 220 go\nS: <close>", old: true},
		{name: "closed after the handshake", script: hello + "S: 220 go\nS: <tls>\nS: <close>"},
		{name: "silent after the handshake", script: hello + "S: 220 go\nS: <tls>\nC: EHLO relay.example\nS: <hang>"},
		{name: "250 to STARTTLS", script: hello + "S: 250 ok\nC: <eof>"},
		{name: "354 to STARTTLS", script: hello + "S: 354 ok\nC: <eof>"},
		{name: "no reply to STARTTLS", script: hello + "S: what?\nC: <eof>"},
		{name: "text after 220", script: hello + "S: 220 go<crlf>554 sorry\nC: <eof>"},
		{name: "closed at STARTTLS", script: hello + "S: <close>", later: true},
		{name: "421 to STARTTLS", script: hello + "S: 421 4.7.0 TLS error\nS: <close>", later: true},
		{name: "silent at STARTTLS", script: hello + "S: <hang>", later: true},
	} {
		for _, level := range []TLSLevel{TLSOpportunistic, TLSEncrypt, TLSCertificate, TLSDomain, TLSDANE} {
			t.Run(tt.name+", "+level.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNetwork(t)
					n.tls = server(cert)
					n.tls.Time = func() time.Time { return now }
					tr := n.transport()
					tr.TLS.Level, tr.TLSConfig = level, ca.roots()
					tr.TLSConfig.Time = n.tls.Time
					dst := to("192.0.2.1:25")
					send := func(want string) {
						t.Helper()
						expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), want)
					}
					if level != TLSOpportunistic {
						hosts, _ := dst.Hosts(t.Context())
						hosts[0].DANE = ee
						n.host("192.0.2.1:25", tt.script, tt.script)
						send("unreachable ...")
						send("unreachable ...")
						if len(n.dialled) != 2 {
							t.Errorf("%d connections, want 2", len(n.dialled))
						}
						return
					}
					n.host("192.0.2.1:25", tt.script)
					if tt.old {
						n.host("192.0.2.1:25", tt.script)
					}
					if tt.later {
						n.host("192.0.2.1:25", tt.script)
						send("unreachable ...")
					}
					n.host("192.0.2.1:25", plainText)
					send(queued)
				})
			})
		}
	}
}

// A refused EHLO in TLS is not a failure of TLS.
func TestNoFallbackForAReply(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net"))
	n.host("192.0.2.1:25", hello+"S: 220 go\nS: <tls>\nC: EHLO relay.example\nS: 550 5.7.1 no\nC: HELO relay.example\nS: 550 5.7.1 never"+quit)
	expect(t, n.transport().Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), "unreachable 550 5.7.1 never [mx1.example.net]")
}

// Implicit TLS does not fall back to plain text.
func TestNoFallbackFromImplicitTLS(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:465", "C: <garble>")
	tr := n.transport()
	tr.ImplicitTLS = true
	expect(t, tr.Send(t.Context(), to("192.0.2.1:465"), mail("x\r\n", "b@example.net")), "unreachable 451 4.7.5 ...")
}

// A failure of STARTTLS for one destination does not count for others, because
// the owner of a domain can name any host in its MX records.
func TestFallbackOfAnotherDomain(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net"))
	n.host("192.0.2.1:25", hello+"S: <close>", hello+"S: <close>", plainText, hello+"S: <close>", hello+"S: 220 go\nS: <tls>\n"+upgraded, hello+"S: <close>")
	tr := n.transport()
	tr.MaxIdle = -1
	send := func(domain, want string) {
		t.Helper()
		dst := to("192.0.2.1:25")
		dst.Name, dst.Domain = domain, domain
		expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), want)
	}
	send("mallory.example", "unreachable 451 4.4.2 ...")
	send("mallory.example", queued)                  // in plain text
	send("example.net", "unreachable 451 4.4.2 ...") // not at once
	send("example.net", queued)                      // under TLS, which
	send("example.net", "unreachable 451 4.4.2 ...") // makes the failure before forgotten
}

// oldTLS changes cfg to that of a host that supports only old TLS.
func oldTLS(cfg *tls.Config, version uint16, suites ...uint16) *tls.Config {
	cfg.MinVersion, cfg.MaxVersion, cfg.CipherSuites = version, version, suites
	return cfg
}

// Old TLS is tried before plain text. The levels above TLSOpportunistic need a
// setting for it, and credentials need another setting.
func TestOldTLS(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ca := newAuthority(t, "CA")
	cert := ca.issueTo(key, nil, "mx1.example.net")
	const refusesHandshake = hello + "S: 220 go\nS: <tls>"
	const works = refusesHandshake + "\n" + upgraded
	for _, host := range []struct {
		name    string
		version uint16
		suite   uint16
		want    string
	}{
		{"TLS 1.0, RSA", tls.VersionTLS10, tls.TLS_RSA_WITH_AES_128_CBC_SHA, "TLS1.0 TLS_RSA_WITH_AES_128_CBC_SHA"},
		{"TLS 1.0, 3DES", tls.VersionTLS10, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, "TLS1.0 TLS_RSA_WITH_3DES_EDE_CBC_SHA"},
		{"TLS 1.0, RC4", tls.VersionTLS10, tls.TLS_RSA_WITH_RC4_128_SHA, "TLS1.0 TLS_RSA_WITH_RC4_128_SHA"},
		{"TLS 1.1, ECDHE", tls.VersionTLS11, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "TLS1.1 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"},
		{"TLS 1.2, RSA", tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "TLS1.2 TLS_RSA_WITH_AES_128_GCM_SHA256"},
	} {
		for _, tt := range []struct {
			name    string
			change  func(*Transport)
			scripts []string
			want    string // the TLS, or empty
		}{
			{"opportunistic", func(tr *Transport) {}, []string{refusesHandshake, works}, host.want},
			{"encrypt", func(tr *Transport) { tr.TLS.Level = TLSEncrypt }, []string{refusesHandshake}, ""},
			{"domain", func(tr *Transport) { tr.TLS.Level = TLSDomain }, []string{refusesHandshake}, ""},
			{"encrypt, allowed", func(tr *Transport) { tr.TLS = TLSPolicy{Level: TLSEncrypt, AllowOld: true} }, []string{works}, host.want},
			{"domain, allowed", func(tr *Transport) { tr.TLS = TLSPolicy{Level: TLSDomain, AllowOld: true} }, []string{works}, host.want},
			{"encrypt, TLSConfig", func(tr *Transport) {
				tr.TLS.Level, tr.TLSConfig = TLSEncrypt, oldTLS(ca.roots(), host.version, host.suite)
			}, []string{works}, host.want},
			{"credentials", func(tr *Transport) {
				tr.TLS, tr.Auth = TLSPolicy{Level: TLSDomain, AllowOld: true}, PasswordAuth("alice", "secret")
			}, []string{refusesHandshake + "\nC: EHLO relay.example\nS: 250-mx\nS: 250 AUTH PLAIN" + quit}, ""},
			{"credentials, TLSConfig", func(tr *Transport) {
				tr.TLS.Level, tr.Auth, tr.TLSConfig = TLSDomain, PasswordAuth("alice", "secret"), oldTLS(ca.roots(), host.version, host.suite)
			}, []string{refusesHandshake + "\nC: EHLO relay.example\nS: 250-mx\nS: 250 AUTH PLAIN" + quit}, ""},
			{"credentials, opportunistic", func(tr *Transport) {
				tr.TLS.Level, tr.Auth = TLSOpportunistic, PasswordAuth("alice", "secret")
			}, []string{refusesHandshake, refusesHandshake + "\nC: EHLO relay.example\nS: 250-mx\nS: 250 AUTH PLAIN" + quit}, ""},
			{"credentials, allowed", func(tr *Transport) {
				tr.TLS, tr.Auth, tr.AllowOldTLSAuth = TLSPolicy{Level: TLSDomain, AllowOld: true}, PasswordAuth("alice", "secret"), true
			}, []string{refusesHandshake + "\nC: EHLO relay.example\nS: 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN " + b64("\x00alice\x00secret") + "\nS: 235 2.7.0 welcome" + stepwise + quit}, host.want},
		} {
			t.Run(host.name+", "+tt.name, func(t *testing.T) {
				n := newNetwork(t)
				n.tls = oldTLS(server(cert), host.version, host.suite)
				n.host("192.0.2.1:25", tt.scripts...)
				tr := n.transport()
				tr.TLSConfig = ca.roots()
				tt.change(tr)
				rs := tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
				if tt.want == "" {
					expect(t, rs, "unreachable 451 4.7...")
				} else if expect(t, rs, queued); rs[0].TLS != tt.want {
					t.Errorf("TLS %q, want %q", rs[0].TLS, tt.want)
				}
			})
		}
	}
}

// Old TLS is not used with a host that supports newer TLS.
func TestOldTLSOnlyAfterFailure(t *testing.T) {
	ca := newAuthority(t, "CA")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	n := newNetwork(t)
	n.tls = server(ca.issueTo(key, nil, "mx1.example.net"))
	n.tls.MinVersion, n.tls.MaxVersion = tls.VersionTLS10, tls.VersionTLS12
	n.tls.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	n.host("192.0.2.1:25", hello+"S: 220 go\nS: <tls>\n"+upgraded)
	rs := n.transport().Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
	if expect(t, rs, queued); rs[0].TLS != "TLS1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" {
		t.Errorf("TLS %q", rs[0].TLS)
	}
}
